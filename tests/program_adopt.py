"""What pgcertd did not make is left alone, and with consent taken over without a failed connection."""

import hashlib
import os
import pathlib
import shutil
import ssl
import stat
import subprocess
import unittest

import harness
from harness import Load, Scene, each_major, wait_until

SERVER_FILES = ("server-cert.pem", "server-key.pem", "ca-cert.pem")


def snapshot(*paths):
    """Names, kinds, inodes, times and bytes of everything below."""
    found = {}
    for path in paths:
        path = pathlib.Path(path)
        if not path.exists() and not path.is_symlink():
            found[str(path)] = None
            continue
        for entry in [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]:
            status = entry.lstat()
            content = os.readlink(entry) if entry.is_symlink() else (
                hashlib.sha256(entry.read_bytes()).hexdigest() if entry.is_file() else None)
            times = None if entry.is_dir() and not entry.is_symlink() else status.st_mtime_ns
            found[str(entry)] = (stat.filemode(status.st_mode), status.st_ino, times, content)
    return found


def make_plain(directory):
    """The set as a backup without links restores it: plain files and nothing else."""
    directory = pathlib.Path(directory)
    files = {name: (directory / name).read_bytes() for name in os.listdir(directory)
             if (directory / name).is_file()}
    shutil.rmtree(directory)
    directory.mkdir(mode=0o755)
    for name, content in files.items():
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o600 if "key" in name else 0o644)
    return files


class Adopt(Scene):
    def settled(self, **more):
        """A cluster that serves a first set, pgcertd ended."""
        cluster = self.postgres()
        policy = self.basic_policy(cluster, **more)
        policy["check_every"] = "1s"
        daemon = self.pgcertd(policy)
        daemon.once()
        return cluster, daemon, pathlib.Path(policy["certificates"]["server"]["directory"])

    def foreign_pair(self, directory):
        """A set by another CA, as the tutorial makes it."""
        directory.mkdir(mode=0o755)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
                        "-subj", "/CN=localhost", "-keyout", "server-key.pem", "-out",
                        "server-cert.pem"], cwd=directory, check=True, capture_output=True)
        (directory / "server-key.pem").chmod(0o600)

    # Untouched.

    def assertUntouched(self, daemon, name, *paths, command=None):
        before = snapshot(*paths)
        done = daemon.once(expect=1)
        self.assertIn("is not pgcertd's", done.stderr)
        self.assertIn(f"pgcertctl adopt {name} --yes", done.stderr)
        daemon.start()
        status = daemon.status()
        self.assertEqual(status["health"], 1)
        self.assertIn("foreign", [c["state"] for c in status["certificates"].values()] +
                      ["foreign" if "is not pgcertd's" in (c["error"] or "") else ""
                       for c in status["clusters"].values()])
        daemon.ctl("check", check=False)
        daemon.stop()
        self.assertEqual(snapshot(*paths), before)

    def test_leaves_each_foreign_name_alone(self):
        cluster, daemon, directory = self.settled(clients=())
        for name in SERVER_FILES:
            for what in "a file", "a link", "a link to a copy":
                with self.subTest(name=name, what=what):
                    target = os.readlink(directory / name)
                    content = (directory / name).read_bytes()
                    elsewhere = self.path("elsewhere")
                    elsewhere.write_bytes(content)
                    elsewhere.chmod(0o600)
                    (directory / name).unlink()
                    if what == "a file":
                        (directory / name).write_bytes(content)
                        (directory / name).chmod(0o600)
                    elif what == "a link":
                        (directory / name).symlink_to(f"./current/{name}")
                    else:
                        (directory / name).symlink_to(elsewhere)
                    self.assertUntouched(daemon, "server", directory, elsewhere)
                    (directory / name).unlink()
                    (directory / name).symlink_to(target)
        self.assertEqual(cluster.reloads(), 1)

    def test_leaves_another_configuration_alone(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster, clients=())
        directory = pathlib.Path(policy["certificates"]["server"]["directory"])
        daemon = self.pgcertd(policy)
        cluster.configuration.write_text(f"ssl = on\nssl_cert_file = '{directory}/other.pem'\n")
        before = snapshot(cluster.configuration)
        done = daemon.once(expect=1)
        self.assertIn(f"{cluster.configuration}:2", done.stderr, "file and line are named")
        self.assertEqual(snapshot(cluster.configuration), before)
        self.assertFalse(directory.exists())
        daemon.start()
        self.assertEqual(daemon.ctl("adopt", "main", "--yes", check=False).returncode, 2)
        self.assertEqual(snapshot(cluster.configuration), before)
        self.assertFalse((daemon.state / "consents").exists(), "a refused consent is not kept")

    def test_refuses_the_set_of_another_ca(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster, clients=())
        directory = pathlib.Path(policy["certificates"]["server"]["directory"])
        self.foreign_pair(directory)
        daemon = self.pgcertd(policy).start()
        before = snapshot(directory)
        for arguments in (["server"], ["server", "--yes"]):
            done = daemon.ctl("adopt", *arguments, check=False)
            self.assertEqual(done.returncode, 2, done.stdout)
            self.assertIn("clients that trust that one alone could not connect", done.stdout)
        self.assertEqual(snapshot(directory), before)
        self.assertFalse((daemon.state / "consents").exists())
        self.assertEqual(daemon.status()["authorities"]["main"]["generations"], [],
                         "no CA is made while the set is foreign")

    def test_tells_before_it_is_told_to(self):
        cluster, daemon, directory = self.settled(clients=())
        make_plain(directory)
        daemon.start()
        before = snapshot(directory)
        done = daemon.ctl("adopt", "server", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("add --yes", done.stdout)
        self.assertEqual(snapshot(directory), before)
        self.assertEqual(daemon.ctl("adopt", "main").returncode, 0, "nothing of it is foreign")
        done = daemon.ctl("adopt", "nobody", check=False)
        self.assertEqual(done.returncode, 3)

    # With consent.

    @each_major
    def test_takes_a_restored_set_over_under_load(self):
        cluster, daemon, directory = self.settled()
        client = pathlib.Path(daemon.policy["certificates"]["app"]["directory"])
        files, client_files = make_plain(directory), make_plain(client)
        served = harness.served(cluster.port)
        daemon.start()
        wait_until(lambda: daemon.status()["certificates"]["server"]["state"] == "foreign",
                   "it is told")
        with Load([f"{self.conninfo(daemon)} port={cluster.port}"]) as load:
            wait_until(lambda: load.connections > 50, "the load runs")
            done = daemon.ctl("adopt", "app", "server", "--yes")
            seen = load.connections
            wait_until(lambda: load.connections > seen + 50, "the load goes on")
        self.assertEqual(load.failures, [])
        self.assertEqual(done.stdout.count("pgcertd's"), 2, done.stdout)
        for place, content in (directory, files), (client, client_files):
            for name, data in content.items():
                copy = place / "generation-0" / name
                self.assertEqual(copy.read_bytes(), data)
                self.assertEqual(os.readlink(place / name), f"current/{name}")
                if name.endswith("key") or "key" in name:
                    self.assertEqual(stat.S_IMODE(copy.stat().st_mode), 0o600)
            self.assertEqual(os.readlink(place / "current"), "generation-1")
        self.assertNotEqual(harness.served(cluster.port), served, "the ordinary switch followed")
        self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])
        self.assertProven(daemon)
        cluster.restart()
        cluster.psql(self.conninfo(daemon))
        self.assertFalse((daemon.state / "consents").exists(), "a consent is used once")

    def test_takes_over_one_name_of_a_set_of_ours(self):
        """A certificate renewed by hand, as the manual's break-glass page has it."""
        cluster, daemon, directory = self.settled(clients=())
        renewed = (directory / "server-cert.pem").read_bytes() + b"# by hand\n"
        (directory / "server-cert.pem").unlink()
        (directory / "server-cert.pem").write_bytes(renewed)
        key = (directory / "server-key.pem").read_bytes()
        daemon.start()
        daemon.ctl("adopt", "server", "--yes")
        self.assertEqual((directory / "generation-2" / "server-cert.pem").read_bytes(), renewed)
        self.assertEqual((directory / "generation-2" / "server-key.pem").read_bytes(), key)
        self.assertEqual(os.readlink(directory / "current"), "generation-3")
        self.assertProven(daemon)
        self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])

    def test_replaces_a_configuration_with_the_same_values(self):
        cluster, daemon, directory = self.settled()
        ours = cluster.configuration.read_text()
        # By hand: other white space, no quotes needed, the lines in another order.
        lines = [line.replace(" = ", "=") for line in ours.splitlines()[1:]]
        cluster.configuration.write_text("# ours, says the DBA\n" + "\n".join(reversed(lines)) +
                                         "\n")
        daemon.start()
        self.assertEqual(daemon.status()["health"], 1)
        self.assertIn("adopt main --yes", daemon.status()["clusters"]["main"]["error"])
        self.assertEqual(daemon.ctl("adopt", "main", check=False).returncode, 1)
        daemon.ctl("adopt", "main", "--yes")
        self.assertEqual(cluster.configuration.read_text(), ours)
        self.assertProven(daemon)

    def test_takes_a_service_file_with_the_same_lines(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster)
        policy["certificates"]["app"]["service"] = {"file": "pg_service.conf", "name": "app",
                                                    "host": "localhost", "dbname": "postgres"}
        daemon = self.pgcertd(policy)
        daemon.once()
        file = pathlib.Path(policy["certificates"]["app"]["directory"]) / "pg_service.conf"
        ours = file.read_text()
        file.write_text(ours.split("\n", 1)[1] + "[other]\nhost=elsewhere\n")
        daemon.start()
        done = daemon.ctl("adopt", "app", "--yes", check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("they would be lost", done.stdout)
        self.assertIn("[other]", file.read_text())
        file.write_text(ours.split("\n", 1)[1])
        daemon.ctl("adopt", "app", "--yes")
        self.assertEqual(file.read_text(), ours)
        self.assertProven(daemon)

    def test_keeps_a_consent_over_a_restart(self):
        cluster, daemon, directory = self.settled(clients=())
        make_plain(directory)
        # The worker cannot write there: the consent waits.
        directory.chmod(0o555)
        daemon.start()
        done = daemon.ctl("adopt", "server", "--yes", check=False)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertTrue((daemon.state / "consents").exists())
        daemon.process.kill()
        daemon.process.wait()
        directory.chmod(0o755)
        daemon.start()
        wait_until(lambda: daemon.status()["health"] == 0, "the new pgcertd finishes")
        self.assertEqual(os.readlink(directory / "server-cert.pem"), "current/server-cert.pem")
        self.assertFalse((daemon.state / "consents").exists())
        self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])

    def test_a_consent_is_for_what_lay_there(self):
        """Once used, the next foreign file is left alone again."""
        cluster, daemon, directory = self.settled(clients=())
        make_plain(directory)
        daemon.start()
        daemon.ctl("adopt", "server", "--yes")
        content = (directory / "server-cert.pem").read_bytes()
        (directory / "server-cert.pem").unlink()
        (directory / "server-cert.pem").write_bytes(content)
        wait_until(lambda: daemon.status()["certificates"]["server"]["state"] == "foreign",
                   "it is foreign again")
        self.assertFalse((directory / "server-cert.pem").is_symlink())

    def test_protects_a_key_that_others_could_read(self):
        cluster, daemon, directory = self.settled(clients=())
        make_plain(directory)
        (directory / "server-key.pem").chmod(0o644)
        daemon.start()
        daemon.ctl("adopt", "server", "--yes")
        for copy in directory.glob("generation-*/server-key.pem"):
            self.assertEqual(stat.S_IMODE(copy.stat().st_mode), 0o600, copy)

    @unittest.skipUnless(shutil.which("strace"), "no strace")
    def test_a_kill_at_any_step_leaves_one_set(self):
        cluster, daemon, directory = self.settled(clients=())
        files = make_plain(directory)
        spare = self.path("spare")
        shutil.copytree(directory, spare, symlinks=True)
        killed = 0
        for calls in ("mkdirat", "/^symlink", "/^rename", "/^unlink", "fsync", "fchmod"):
            for when in range(1, 20):
                shutil.rmtree(directory)
                shutil.copytree(spare, directory, symlinks=True)
                (daemon.state / "consents").write_text(f"certificate server {directory}\n")
                if not self.is_killed(daemon, calls, when):
                    break
                killed += 1
                # Whatever was reached, PostgreSQL could start with it.
                ssl.create_default_context().load_cert_chain(directory / "server-cert.pem",
                                                             directory / "server-key.pem")
                self.assertEqual((directory / "server-key.pem").read_bytes(),
                                 files["server-key.pem"])
                self.assertTrue((directory / "ca-cert.pem").exists())
                daemon.once()
                for name in SERVER_FILES:
                    self.assertEqual(os.readlink(directory / name), f"current/{name}")
                self.assertEqual(harness.served(cluster.port),
                                 self.disk(daemon, "server")["sha256"])
                self.assertFalse((daemon.state / "consents").exists())
        self.assertGreater(killed, 15, "the injection fired")

    def is_killed(self, daemon, calls, when):
        """One --once, each program of which dies at its Nth such call."""
        trace = self.directory / "trace"
        subprocess.run(["strace", "-f", "-o", str(trace), "-e", f"trace={calls}", "-e",
                        f"inject={calls}:signal=KILL:when={when}", *daemon.arguments("--once")],
                       capture_output=True, timeout=60, check=False)
        return "killed by SIGKILL" in trace.read_text()


if __name__ == "__main__":
    harness.main()
