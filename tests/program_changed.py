"""A policy that is changed, broken, swapped and mended while pgcertd runs on it."""

import copy
import grp
import json
import os
import pathlib
import shutil
import stat
import threading

import harness
from harness import ME, Scene, wait_until


class Changed(Scene):
    def set_up(self, edit=None, **more):
        cluster = self.postgres(**more)
        policy = self.basic_policy(cluster)
        policy["check_every"] = "1s"
        policy["clusters"]["main"]["timeout"] = "2s"
        if edit:
            edit(policy)
        daemon = self.pgcertd(policy).start()
        wait_until(lambda: daemon.status()["health"] == 0, "the first set is proven")
        return cluster, daemon

    def change(self, daemon, edit, how="by itself"):
        """Writes an edited policy and waits for it: found by itself, or by a reload."""
        policy = copy.deepcopy(daemon.policy)
        edit(policy)
        loaded = daemon.log().count("is in force")
        daemon.write(policy)
        if how == "reload":
            daemon.ctl("reload")
        wait_until(lambda: daemon.log().count("is in force") > loaded, "the policy is in force")
        return policy

    def settle(self, cluster, daemon, health=0, name="server"):
        """All done, and the wire shows what is on disk."""
        def is_settled():
            told = daemon.status()
            states = {row["state"] for row in told["certificates"].values()}
            return told["health"] == health and (health or states == {"ok"}) and (
                harness.served(cluster.port) == self.disk(daemon, name)["sha256"])
        wait_until(is_settled, f"health {health}:\n{daemon.log()[-3000:]}", 15)
        done = daemon.ctl("status", check=False)
        self.assertEqual(done.returncode, health, done.stdout)

    def files(self, directory):
        return {p.name: p.read_bytes() for p in pathlib.Path(directory).iterdir() if p.is_file()}

    def test_another_subject_of_the_ca_is_a_planned_rollover(self):
        cluster, daemon = self.set_up()
        before = self.disk(daemon, "server")

        def edit(policy):
            policy["authorities"]["main"]["subject"]["CN"] = "other"

        def phases():
            return {generation["phase"]: generation["subject"] for generation in
                    daemon.status()["authorities"]["main"]["generations"]}
        self.change(daemon, edit)
        wait_until(lambda: "CN=other G2 " in phases().get("next", ""), "the next CA is made", 15)
        self.assertIn("CN=root G1 ", phases()["current"])
        wait_until(lambda: self.disk(daemon, "server") != before, "the server trusts both", 15)
        self.settle(cluster, daemon)
        wait_until(lambda: daemon.status()["authorities"]["main"]["next"]["verb"] == "activate",
                   "it is announced", 15)
        cluster.psql(self.conninfo(daemon))

    def test_a_renamed_certificate_is_kept(self):
        cluster, daemon = self.set_up()
        before, generation = self.disk(daemon, "server"), daemon.generation("server")
        client = self.disk(daemon, "app")

        def edit(policy):
            policy["certificates"] = {"primary": policy["certificates"]["server"],
                                      "application": policy["certificates"]["app"]}
            policy["clusters"]["main"]["certificate"] = "primary"
            policy["clusters"]["main"]["verify"]["as"] = ["application"]
        self.change(daemon, edit)
        wait_until(lambda: set(daemon.status()["certificates"]) == {"primary", "application"},
                   "status shows the new names")
        self.settle(cluster, daemon, name="primary")
        self.assertEqual(self.disk(daemon, "primary"), before)
        self.assertEqual(self.disk(daemon, "application"), client)
        self.assertEqual(daemon.generation("primary"), generation)
        daemon.ctl("renew", "primary")
        self.settle(cluster, daemon, name="primary")
        self.assertEqual(self.disk(daemon, "primary")["public_key"], before["public_key"])
        self.assertNotEqual(self.disk(daemon, "primary")["sha256"], before["sha256"])

    def test_the_files_of_a_removed_certificate_stay(self):
        cluster, daemon = self.set_up()
        directory = daemon.policy["certificates"]["app"]["directory"]
        conninfo, files = self.conninfo(daemon), self.files(directory)

        def edit(policy):
            del policy["certificates"]["app"]
            policy["clusters"]["main"]["verify"] = {"plaintext": "refused"}
        self.change(daemon, edit, "reload")
        wait_until(lambda: set(daemon.status()["certificates"]) == {"server"}, "it is gone")
        self.settle(cluster, daemon)
        self.assertEqual(self.files(directory), files)
        self.assertEqual(daemon.ctl("renew", "app", check=False).returncode, 3)
        self.assertEqual(self.files(directory), files)
        self.assertIn("postgresql.key", files, conninfo)
        self.assertLeft(daemon, "app", directory)
        # Over a restart, and until it is gone or named again.
        daemon.stop()
        daemon.start()
        self.assertLeft(daemon, "app", directory, restarts=1)
        shutil.rmtree(directory)
        daemon.ctl("check")
        wait_until(lambda: not daemon.status()["unmanaged"], "what is gone is forgotten")

    def assertLeft(self, daemon, name, directory, restarts=0):
        """Listed in status and check, as text and JSON, and told in the log, once."""
        wait_until(lambda: daemon.status().get("unmanaged") ==
                   {name: {"name": name, "directory": directory}}, "it is listed as unmanaged")
        for command in "status", "check":
            self.assertRegex("".join(daemon.ctl(command).stdout.split()),
                             f"directory{directory}.*unmanaged.*{name}")
        finding = [f for f in json.loads(daemon.ctl("--json", "check").stdout)["findings"]
                   if f["kind"] == "directory"]
        self.assertEqual([f["name"] for f in finding], [directory])
        self.assertEqual(daemon.status()["health"], 0)
        self.assertEqual(daemon.log().count("is not managed any more"), 1)

    def test_a_policy_changed_while_pgcertd_is_down(self):
        cluster, daemon = self.set_up()
        daemon.stop()
        directory = daemon.policy["certificates"]["app"]["directory"]
        policy = copy.deepcopy(daemon.policy)
        del policy["certificates"]["app"]
        policy["clusters"]["main"]["verify"] = {"plaintext": "refused"}
        daemon.write(policy)
        daemon.start()
        self.settle(cluster, daemon)
        self.assertLeft(daemon, "app", directory)
        policy["certificates"]["again"] = {"use": "client", "authority": "main", "role": "app",
                                           "directory": directory, "owner": ME}
        daemon.write(policy)
        wait_until(lambda: not daemon.status()["unmanaged"], "it is managed again")
        self.settle(cluster, daemon)

    def test_a_changed_directory_is_published_anew(self):
        cluster, daemon = self.set_up()
        old, new = daemon.policy["certificates"]["server"]["directory"], self.path("elsewhere")
        files = self.files(old)
        conninfo = f"{self.conninfo(daemon)} port={cluster.port}"
        with harness.Load([conninfo], threads=1) as load:
            self.change(daemon,
                        lambda p: p["certificates"]["server"].update(directory=str(new)))
            wait_until((new / "server-cert.pem").exists, "it is published anew")
            self.settle(cluster, daemon)
        self.assertGreater(load.connections, 3)
        self.assertEqual(load.failures, [])
        self.assertIn(str(new), cluster.configuration.read_text())
        self.assertNotIn(old, cluster.configuration.read_text())
        self.assertEqual(self.files(old), files, "the old files stay")
        self.assertLeft(daemon, "server", old)
        cluster.restart()
        self.settle(cluster, daemon)

    def test_a_changed_directory_of_a_client(self):
        cluster, daemon = self.set_up()
        old, new = daemon.policy["certificates"]["app"]["directory"], self.path("elsewhere")
        conninfo = self.conninfo(daemon)
        self.change(daemon, lambda p: p["certificates"]["app"].update(directory=str(new)))
        wait_until((new / "postgresql.crt").exists, "it is published anew")
        self.settle(cluster, daemon)
        self.assertLeft(daemon, "app", old)
        cluster.psql(conninfo)
        cluster.psql(self.conninfo(daemon))

    def test_a_removed_cluster_goes_on_serving(self):
        cluster, daemon = self.set_up()
        before = self.disk(daemon, "server")
        self.change(daemon, lambda policy: policy.update(clusters={}))
        wait_until(lambda: not daemon.status()["clusters"], "it is gone")
        self.assertTrue(cluster.configuration.exists())
        cluster.restart()
        self.assertEqual(harness.served(cluster.port), before["sha256"])

    def test_changed_names_usage_and_key_are_reissued_at_once(self):
        def rename(policy):
            policy["certificates"]["server"]["names"].append("db.example.com")

        def retype(policy):
            policy["certificates"]["server"]["key"] = "ecdsa-p384"

        def subject(policy):
            policy["certificates"]["server"]["subject"] = {"O": "Other", "CN": "db"}

        def role(policy):
            policy["certificates"]["app"]["role"] = "other"
        cluster, daemon = self.set_up(roles=("app", "other"))
        conninfo = self.conninfo(daemon)
        for edit, name, word, same_key in (
                (rename, "server", "db.example.com", True), (retype, "server", "secp384r1", False),
                (subject, "server", "O = Other, CN = db", True),
                (role, "app", "CN = other", True)):
            with self.subTest(edit=edit.__name__):
                before = self.disk(daemon, name)
                self.change(daemon, edit)
                wait_until(lambda: self.disk(daemon, name) != before, "it is reissued")
                self.settle(cluster, daemon)
                now = self.disk(daemon, name)
                self.assertEqual(now["public_key"] == before["public_key"], same_key)
                file = ("server-cert.pem" if name == "server" else "postgresql.crt")
                text = harness.run("openssl", "x509", "-noout", "-text", "-in",
                                   f"{daemon.policy['certificates'][name]['directory']}/{file}")
                self.assertIn(word, text.stdout)
        # The server's set is one step, the client's role another: the fixed names stayed.
        cluster.psql(conninfo.replace("user=app", "user=other"))

    def test_a_server_becomes_a_client(self):
        cluster, daemon = self.set_up()
        directory = self.path("third")

        def add(policy):
            policy["certificates"]["third"] = {
                "use": "server", "authority": "main", "names": ["third.example.com"],
                "directory": str(directory), "owner": ME,
                "files": {"certificate": "a.crt", "key": "a.key", "trust": "a.ca"}}

        def turn(policy):
            third = policy["certificates"]["third"]
            del third["names"]
            third.update(use="client", role="app")
        self.change(daemon, add)
        wait_until((directory / "a.crt").exists, "it is issued")
        before = harness.pem_facts(directory / "a.crt")
        self.change(daemon, turn)
        wait_until(lambda: harness.pem_facts(directory / "a.crt") != before, "it is reissued")
        self.settle(cluster, daemon)
        cluster.psql("host=localhost hostaddr=127.0.0.1 dbname=postgres user=app "
                     f"sslmode=verify-full gssencmode=disable sslcert={directory}/a.crt "
                     f"sslkey={directory}/a.key sslrootcert={directory}/a.ca")

    def test_a_changed_mode_is_republished(self):
        cluster, daemon = self.set_up()
        key = f"{daemon.policy['certificates']['server']['directory']}/server-key.pem"
        before = self.disk(daemon, "server")
        self.assertEqual(stat.S_IMODE(os.stat(key).st_mode), 0o600)
        self.change(daemon, lambda p: p["certificates"]["server"].update(mode="0400"))
        wait_until(lambda: stat.S_IMODE(os.stat(key).st_mode) == 0o400, "the mode is changed")
        self.settle(cluster, daemon)
        self.assertEqual(self.disk(daemon, "server")["public_key"], before["public_key"])

    def test_a_changed_group_is_republished(self):
        groups = [group for group in os.getgroups() if group != os.getgid()]
        if not groups:
            self.skipTest(f"{ME} is in one group only")
        cluster, daemon = self.set_up()
        before = self.disk(daemon, "server")
        directory = daemon.policy["certificates"]["server"]["directory"]
        name = grp.getgrgid(groups[0]).gr_name
        self.change(daemon, lambda p: p["certificates"]["server"].update(group=name))
        wait_until(lambda: os.stat(f"{directory}/server-key.pem").st_gid == groups[0],
                   "the group is changed")
        self.settle(cluster, daemon)
        self.assertEqual(self.disk(daemon, "server")["public_key"], before["public_key"])
        self.assertEqual(stat.S_IMODE(os.stat(f"{directory}/server-key.pem").st_mode), 0o600)

    def test_another_owner_has_no_worker_here(self):
        """Alone, pgcertd works as itself: what it has published for itself stays, and is told."""
        cluster, daemon = self.set_up()
        before, files = self.disk(daemon, "app"), daemon.policy["certificates"]["app"]["directory"]
        files = self.files(files)
        self.change(daemon, lambda p: p["certificates"]["app"].update(owner="nobody"))
        wait_until(lambda: daemon.status()["health"] == 2, "nobody has no worker")
        self.assertIn("no worker for nobody", daemon.status()["certificates"]["app"]["error"])
        self.assertEqual(self.files(daemon.policy["certificates"]["app"]["directory"]), files)
        cluster.psql(self.conninfo(daemon))
        daemon.ctl("renew", "server")  # it holds up nothing else
        self.change(daemon, lambda p: p["certificates"]["app"].update(owner=ME))
        self.settle(cluster, daemon)
        self.assertEqual(self.disk(daemon, "app"), before)

    def test_a_renamed_file(self):
        cluster, daemon = self.set_up()
        directory = pathlib.Path(daemon.policy["certificates"]["server"]["directory"])

        def edit(policy):
            policy["certificates"]["server"]["files"]["certificate"] = "leaf.pem"
        self.change(daemon, edit)
        wait_until((directory / "leaf.pem").exists, "the new name is there")
        wait_until(lambda: "leaf.pem" in cluster.configuration.read_text(), "it is configured")
        wait_until(lambda: daemon.status()["health"] == 0, "settled")
        leaf = harness.pem_facts(directory / "leaf.pem")
        wait_until(lambda: harness.served(cluster.port) == leaf["sha256"], "it is served")
        cluster.restart()
        self.assertEqual(harness.served(cluster.port), leaf["sha256"])
        daemon.ctl("renew", "server")
        self.assertNotEqual(harness.pem_facts(directory / "leaf.pem"), leaf)

    def test_a_broken_policy_is_critical_once_a_step_is_held(self):
        cluster = self.postgres()
        policy = self.short_policy(cluster, lifetime="24s", renew_before="10s")
        daemon = self.pgcertd(policy).start()
        wait_until(lambda: daemon.status()["health"] == 0, "proven")
        daemon.ctl("renew", "--all")
        good = daemon.policy_file.read_text()
        broken = daemon.policy_file.with_suffix(".broken")
        broken.write_text(good + "nonsense: 1\n")
        broken.rename(daemon.policy_file)
        wait_until(lambda: daemon.status()["policy_error"], "it is told", 5)
        self.assertEqual(daemon.status()["health"], 0)
        wait_until(lambda: daemon.status()["health"] == 2, "a renewal is held")
        told = daemon.status()
        self.assertEqual(told["certificates"]["server"]["state"], "held")
        self.assertIn("nonsense", told["certificates"]["server"]["error"])
        self.assertEqual(daemon.ctl("status", check=False).returncode, 2)
        mended = daemon.policy_file.with_suffix(".mended")
        mended.write_text(good)
        mended.rename(daemon.policy_file)
        wait_until(lambda: daemon.status()["health"] == 0, "it goes on by itself", 10)

    def test_files_of_conf_d_come_and_go(self):
        cluster, daemon = self.set_up()
        more = daemon.directory / "conf.d"
        more.mkdir()
        directory = self.path("more")
        temporary = daemon.directory / "10-more.yaml"
        temporary.write_text(
            "version: 1\ncertificates:\n  more:\n    use: client\n    authority: main\n"
            f"    role: more\n    directory: {directory}\n    owner: {ME}\n")
        temporary.rename(more / "10-more.yaml")
        wait_until(lambda: daemon.status()["certificates"].get("more", {}).get("state") == "ok",
                   "it is issued")
        self.settle(cluster, daemon)
        files = self.files(directory)
        (more / "10-more.yaml").unlink()
        wait_until(lambda: "more" not in daemon.status()["certificates"], "it is gone")
        self.settle(cluster, daemon)
        self.assertEqual(self.files(directory), files)
        (more / "20-broken.yaml").write_text("version: 1\nnonsense: 1\n")
        wait_until(lambda: "20-broken.yaml" in json.dumps(daemon.status()["policy_error"]),
                   "the broken file is named")
        (more / "20-broken.yaml").unlink()
        wait_until(lambda: not daemon.status()["policy_error"], "mended")
        self.settle(cluster, daemon)

    def test_a_file_that_changes_between_two_reads(self):
        """Two good policies swapped all the time: a program that has read another one than pgcertd
        refuses its request. Nothing is torn, nobody is shut out, and it settles."""
        cluster, daemon = self.set_up()
        policy = copy.deepcopy(daemon.policy)
        policy["certificates"]["server"]["names"].append("db.example.com")
        texts = daemon.policy_file.read_text(), harness.yaml_text(policy)
        end = threading.Event()

        def swap():
            temporary, n = daemon.policy_file.with_suffix(".swap"), 0
            while not end.wait(0.003):
                n += 1
                temporary.write_text(texts[n % 2])
                temporary.rename(daemon.policy_file)
        swapper = threading.Thread(target=swap, daemon=True)
        with harness.Load([f"{self.conninfo(daemon)} port={cluster.port}"], threads=1) as load:
            swapper.start()
            statuses = [daemon.ctl("renew", "server", check=False).returncode for _ in range(12)]
            wait_until(lambda: load.connections > 100, "connections")
            end.set()
            swapper.join()
        self.assertLessEqual(set(statuses), {0, 1, 2})
        self.assertEqual(load.failures, [])
        self.assertIn("is not the one in force", daemon.log(), "the skew was met")
        daemon.write(policy)
        wait_until(lambda: "db.example.com" in harness.run(
            "openssl", "x509", "-noout", "-text", "-in",
            f"{policy['certificates']['server']['directory']}/server-cert.pem").stdout, "it settles")
        self.settle(cluster, daemon)


if __name__ == "__main__":
    harness.main()
