"""Files of ours that somebody edits: repaired once, told; edited again within a day, left and told."""

import os
import pathlib
import shutil
import unittest

import harness
from harness import Scene, wait_until

LEFT = "somebody changed it again"


class Damage(Scene):
    def started(self, **more):
        self.cluster = self.postgres(**more)
        policy = self.basic_policy(self.cluster)
        policy["check_every"] = "1s"
        policy["certificates"]["app"]["service"] = {
            "file": "pg_service.conf", "name": "app", "host": "localhost", "dbname": "postgres"}
        self.daemon = self.pgcertd(policy).start()
        self.directory = {name: pathlib.Path(certificate["directory"])
                          for name, certificate in policy["certificates"].items()}
        wait_until(self.is_well, "all is proven")

    def is_well(self):
        return self.daemon.status()["health"] == 0

    def row(self, name="server"):
        return self.daemon.status()["certificates"][name]

    def repairs(self):
        return self.daemon.log().count("repaired what somebody changed")

    def assertLoads(self):
        """A restart of PostgreSQL serves what is on disk, and a client gets in."""
        self.cluster.restart()
        wait_until(self.is_well, f"all is proven again:\n{self.daemon.status()}")
        self.assertEqual(harness.served(self.cluster.port),
                         self.disk(self.daemon, "server")["sha256"])
        self.cluster.psql(self.conninfo(self.daemon))

    def current(self, name="server"):
        return self.directory[name] / os.readlink(self.directory[name] / "current")

    # What somebody does to the set of the server, by hand.

    def overwrite(self, file, text):
        """As an editor does that writes in place, through the fixed name."""
        path = self.directory["server"] / file
        path.write_text(text)

    def edit_certificate(self):
        self.overwrite("server-cert.pem", "not a certificate\n")

    def swap_certificate(self):
        self.overwrite("server-cert.pem",
                       (self.directory["app"] / "postgresql.crt").read_text())

    def edit_key(self):
        self.overwrite("server-key.pem", "not a key\n")

    def swap_key(self):
        self.overwrite("server-key.pem", (self.directory["app"] / "postgresql.key").read_text())

    def empty_trust(self):
        self.overwrite("ca-cert.pem", "")

    def delete_file(self):
        (self.current() / "server-key.pem").unlink()

    def replace_by_link(self):
        path = self.current() / "server-cert.pem"
        path.unlink()
        path.symlink_to(self.directory["app"] / "postgresql.crt")

    def open_key(self):
        (self.directory["server"] / "server-key.pem").chmod(0o644)

    def add_acl(self):
        harness.run("setfacl", "-m", "u:daemon:r", self.directory["server"] / "server-key.pem")

    def delete_current(self):
        (self.directory["server"] / "current").unlink()

    def delete_name(self):
        (self.directory["server"] / "server-key.pem").unlink()

    def delete_generation(self):
        shutil.rmtree(self.current())

    def check(self, damage):
        """Repaired once, also for a PostgreSQL that restarts; left the second time; renew mends."""
        damage()
        wait_until(lambda: self.repairs() == 1 and self.is_well(),
                   f"it is repaired; {self.row()}\n{self.daemon.log()}")
        self.assertLoads()
        before = self.daemon.generation("server"), self.disk(self.daemon, "server")
        damage()
        wait_until(lambda: LEFT in (self.row()["error"] or ""), f"it is left: {self.row()}")
        row = self.row()
        self.assertEqual(row["state"], "error")
        self.assertEqual(self.daemon.status()["health"], 2, "a restart would not load it")
        self.assertIn("HINT: Find who edits these files", row["error"])
        self.assertEqual(self.repairs(), 1)
        self.assertEqual(harness.served(self.cluster.port), before[1]["sha256"], "served stays")
        # Over a restart of ours it is not forgotten.
        self.daemon.stop()
        self.daemon.start()
        wait_until(lambda: LEFT in (self.row()["error"] or ""), f"still left: {self.row()}")
        self.assertEqual(self.repairs(), 1)
        self.assertIn("renewed", self.daemon.ctl("renew", "server").stdout)
        self.assertLoads()

    # Two of other kinds: a client's service file, and a cluster's configuration file.

    def test_service_file(self):
        self.started()
        path = self.directory["app"] / "pg_service.conf"
        wanted = path.read_text()
        edited = wanted.replace("localhost", "elsewhere")
        path.write_text(edited)
        wait_until(lambda: path.read_text() == wanted, "it is repaired")
        wait_until(self.is_well, "all is well")
        path.write_text(edited)
        wait_until(lambda: LEFT in (self.row("app")["error"] or ""), "it is left")
        self.assertEqual(self.daemon.status()["health"], 1, "nothing else is wrong with the set")
        self.assertEqual(path.read_text(), edited)
        self.daemon.ctl("renew", "app")
        self.assertEqual(path.read_text(), wanted)
        wait_until(self.is_well, "all is well")

    def check_configuration(self, damage):
        path = self.cluster.configuration
        wanted = path.read_text()
        damage(path)
        wait_until(lambda: path.exists() and path.read_text() == wanted, "it is repaired")
        self.assertLoads()
        damage(path)

        def error():
            return self.daemon.status()["clusters"]["main"]["error"] or ""
        wait_until(lambda: LEFT in error(), "it is left")
        self.assertEqual(self.daemon.status()["health"], 2)
        self.daemon.stop()
        self.daemon.start()
        wait_until(lambda: LEFT in error(), "still left after a restart of ours")
        self.daemon.ctl("renew", "server", check=False)
        self.assertEqual(path.read_text(), wanted)
        self.assertLoads()

    def test_configuration_edited(self):
        self.started()
        self.check_configuration(
            lambda path: path.write_text(path.read_text().replace("ssl = 'on'", "ssl = 'off'")
                                         + "work_mem = '1MB'\n"))

    def test_configuration_deleted(self):
        self.started()
        self.check_configuration(lambda path: path.unlink())

    def test_what_is_no_longer_ours_is_left(self):
        """A name or a manifest that is replaced is somebody else's set from then on."""
        self.started()
        served = harness.served(self.cluster.port)
        name = self.directory["server"] / "server-cert.pem"
        copy = name.read_bytes()
        name.unlink()
        name.write_bytes(copy)
        wait_until(lambda: self.row()["state"] == "foreign", "it is told")
        self.assertIn("server-cert.pem", self.row()["error"])
        self.assertEqual(name.read_bytes(), copy)
        name.unlink()
        wait_until(lambda: self.row()["state"] == "ok" and name.is_symlink(), "it is ours again")
        manifest = self.current() / "manifest"
        manifest.write_text("edited\n")
        wait_until(lambda: self.row()["state"] == "foreign", "it is told")
        self.assertEqual(harness.served(self.cluster.port), served, "served stays")

    def test_state_directory_deleted(self):
        self.started()
        before = self.disk(self.daemon, "server")
        shutil.rmtree(self.daemon.state)
        wait_until(lambda: "lost" in (self.daemon.status()["authorities"]["main"]["error"] or ""),
                   f"the CA is lost: {self.daemon.status()['authorities']}")
        self.assertEqual(self.daemon.status()["health"], 2)
        self.daemon.ctl("renew", "server", check=False)
        self.assertEqual(self.disk(self.daemon, "server"), before)
        self.assertEqual(harness.served(self.cluster.port), before["sha256"])
        self.cluster.psql(self.conninfo(self.daemon))
        self.daemon.stop()
        self.daemon.start()
        wait_until(lambda: "lost" in (self.daemon.status()["authorities"]["main"]["error"] or ""),
                   "the CA is lost after a restart too, and no new one is made")
        self.assertEqual(self.disk(self.daemon, "server"), before)


def add(name, damage, needs=None):
    """One test for each kind of damage to a set."""
    def test(self):
        self.started()
        self.check(getattr(self, damage))
    if needs:
        test = unittest.skipUnless(shutil.which(needs), f"{needs} is not installed")(test)
    test.__name__ = f"test_{name}"
    setattr(Damage, test.__name__, test)


for kind in ("edit_certificate", "swap_certificate", "edit_key", "swap_key", "empty_trust",
             "delete_file", "replace_by_link", "open_key", "delete_current", "delete_name",
             "delete_generation"):
    add(kind, kind)
add("add_acl", "add_acl", "setfacl")


if __name__ == "__main__":
    harness.main()
