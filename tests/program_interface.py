"""The built programs against the interface, sentence by sentence: what a script may rely on."""

import json
import os
import pathlib
import signal
import stat
import subprocess
import time

import harness
from harness import ME, Scene, program, run, wait_until


def contents(*roots):
    """Everything below, by lstat: what an untouched tree keeps."""
    found = {}
    for root in map(pathlib.Path, roots):
        for path in [root, *root.rglob("*")] if os.path.lexists(root) else []:
            facts = path.lstat()
            what = os.readlink(path) if path.is_symlink() else (
                path.read_bytes() if stat.S_ISREG(facts.st_mode) else b"")
            if path.name != "lock":  # a lock file names who holds it
                found[path] = (facts.st_ino, facts.st_mode, facts.st_mtime_ns, what)
    return found


class Interface(Scene):
    def directory_of(self, policy, name):
        return pathlib.Path(policy["certificates"][name]["directory"])

    def up(self, policy, health=None):
        daemon = self.pgcertd(policy).start()
        wait_until(lambda: daemon.status().get("health") in ([0, 1, 2] if health is None
                                                             else [health]),
                   f"health {health}; the log:\n{daemon.log()}")
        return daemon


class Modes(Interface):
    def test_plan_changes_nothing(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster)
        daemon = self.pgcertd(policy)
        mine = [daemon.directory, cluster.configuration, self.directory_of(policy, "server"),
                self.directory_of(policy, "app")]
        for due in (True, False):
            before = contents(*mine), cluster.reloads()
            plan = daemon.run("--plan").stdout
            self.assertEqual("issue certificate server" in plan, due, plan)
            self.assertEqual(json.loads(daemon.run("--plan", "--json").stdout)["version"], 1)
            ahead = json.loads(daemon.run("--plan", "--until", "5y", "--json").stdout)
            verbs = {step["verb"] for step in ahead["steps"]}
            self.assertTrue(verbs >= {"issue", "load", "prepare", "announce", "activate"}, verbs)
            self.assertTrue(ahead["complete"], ahead["error"])
            self.assertEqual((contents(*mine), cluster.reloads()), before)
            daemon.once()

    def test_once_exits_with_the_health_or_unknown(self):
        daemon = self.pgcertd("version: 1\nnonsense: 1\n")
        for mode in ("--once", "--plan"):
            done = daemon.run(mode, check=False)
            self.assertEqual(done.returncode, 3, mode)
            self.assertIn("pgcertd.yaml:2:1: nonsense", done.stderr)
        self.assertEqual(daemon.run(check=False, timeout=20).returncode, 1, "the service")

    def test_a_killed_worker_or_signer_ends_once_without_success(self):
        cluster = self.postgres()
        for victim in ("pgcertd-worker", "pgcertd-signer"):
            policy = self.basic_policy(cluster, key="rsa-4096")
            policy["authorities"]["main"]["key"] = "rsa-4096"  # slow, so that it is caught
            daemon = self.pgcertd(policy)
            with subprocess.Popen(daemon.arguments("--once"), stderr=subprocess.PIPE,
                                  text=True) as once:
                def caught():
                    for pid in daemon.children(once.pid):
                        try:
                            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == victim:
                                return pid
                        except OSError:
                            pass
                    return None
                os.kill(wait_until(caught, f"a {victim}", 10), signal.SIGKILL)
                told = once.communicate(timeout=20)[1]
            self.assertIn(once.returncode, (1, 2, 3), told)
            self.assertIn(f"{victim} ended", told)
            policy["defaults"]["key"] = policy["authorities"]["main"]["key"] = "ecdsa-p256"
            daemon.write(policy)
            daemon.once()
            cluster.configuration.unlink()

    def test_directories_come_from_systemd_where_no_option_names_them(self):
        policy = self.basic_policy(self.postgres())
        daemon = self.pgcertd(policy)
        for value in (f"{self.directory}/a", f"{self.directory}/b:{self.directory}/c"):
            environment = {**os.environ, "STATE_DIRECTORY": value, "RUNTIME_DIRECTORY": value}
            run(program("pgcertd"), "--policy", daemon.policy_file, "--once", env=environment,
                check=False)
            first = pathlib.Path(value.partition(":")[0])
            self.assertEqual(stat.S_IMODE(first.stat().st_mode), 0o700)
            self.assertEqual(stat.S_IMODE((first / "signer").stat().st_mode), 0o700)
            if first.name == "a":
                first.rename(self.directory / "b")  # the same state: the CA must not be another
        self.assertFalse((self.directory / "c").exists())
        self.assertEqual(self.pem_count(self.directory_of(policy, "server") / "ca-cert.pem"), 1)

    def pem_count(self, path):
        return path.read_text().count("BEGIN CERTIFICATE")

    def test_an_answer_that_cannot_be_written_is_told(self):
        daemon = self.pgcertd(self.basic_policy(self.postgres(start=False)))
        for mode in (["--check"], ["--check", "--print"], ["--plan"]):
            with open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run(daemon.arguments(*mode), stdout=full, check=False,
                                      stderr=subprocess.PIPE, text=True)
            self.assertNotEqual(done.returncode, 0, mode)
            self.assertIn("cannot write standard output", done.stderr, mode)

    def test_ten_thousand_certificates_are_judged_soon(self):
        text = "version: 1\nauthorities: {main: {subject: {CN: root}}}\ncertificates:\n" + "".join(
            f"  c{n}: {{use: client, authority: main, role: r{n}, owner: {ME}, "
            f"directory: {self.directory}/{n}}}\n" for n in range(10000))
        daemon = self.pgcertd(text)
        begin = time.monotonic()
        daemon.run("--check")
        self.assertLess(time.monotonic() - begin, 5)
        daemon.write(text + f"  one: {{use: client, authority: main, role: one, owner: {ME}, "
                            f"directory: {self.directory}/one}}\n")
        done = daemon.run("--check", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("more than 10000 certificates", done.stderr)


class Foreign(Interface):
    # which set, the name in its directory, and what lies there
    CASES = [("server", "server-cert.pem", "file"), ("server", "server-key.pem", "link"),
             ("server", "ca-cert.pem", "directory"), ("server", "server-cert.pem", "fifo"),
             ("server", "current", "directory"), ("server", "current", "file"),
             ("server", "current", "link"), ("server", "current", "generation"),
             ("app", "postgresql.key", "file"), ("app", "pg_service.conf", "file"),
             ("app", "pg_service.conf", "link")]

    def put(self, path, kind):
        path.parent.mkdir(exist_ok=True)
        if kind == "file":
            path.write_text("mine\n")
        elif kind == "link":
            path.symlink_to("/nonexistent/mine")
        elif kind == "directory":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        else:  # a link as ours, to a directory that only looks like ours
            (path.parent / "generation-2").mkdir()
            (path.parent / "generation-2" / "server-key.pem").write_text("mine\n")
            path.symlink_to("generation-2")

    def judge(self, cluster, prepare, who):
        """Nothing of it changes, nothing is made beside it, no CA is made, and it is told."""
        policy = self.basic_policy(cluster)
        policy["certificates"]["app"]["service"] = {"file": "pg_service.conf", "name": "svc"}
        prepare(policy)
        daemon = self.pgcertd(policy)
        mine = [self.directory_of(policy, "server"), self.directory_of(policy, "app"),
                cluster.configuration]
        before = contents(*mine)
        self.assertIn("is not pgcertd's", daemon.once(expect=1).stderr)
        self.assertEqual(contents(*mine), before)
        self.assertEqual(list(daemon.state.rglob("*.key")), [])
        daemon.start()
        wait_until(lambda: daemon.status().get("health") == 1, "health 1", 10)
        state = daemon.status()["certificates"][who]
        self.assertEqual(state["state"], "foreign")
        self.assertTrue(state["error"])
        self.assertIsNone(state["wanted"])
        self.assertEqual(daemon.ctl("renew", who, check=False).returncode, 2)
        self.assertEqual(contents(*mine), before)
        daemon.stop()

    def test_what_is_not_ours_is_not_touched(self):
        cluster = self.postgres()
        for who, name, kind in self.CASES:
            with self.subTest(name=name, kind=kind):
                self.judge(cluster,
                           lambda p: self.put(self.directory_of(p, who) / name, kind), who)
        self.assertEqual(cluster.reloads(), 0)

    def test_generations_of_others_are_left_and_passed_over(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster)
        directory = self.directory_of(policy, "server")
        directory.mkdir()
        for number in (1, 2, 3):
            (directory / f"generation-{number}").mkdir()
            (directory / f"generation-{number}" / "server-key.pem").write_text("mine\n")
        before = contents(*(directory / f"generation-{n}" for n in (1, 2, 3)))
        daemon = self.up(policy, 0)
        for _ in range(3):
            daemon.ctl("renew", "server")
        after = contents(directory)
        self.assertEqual({path: after.get(path) for path in before}, before)


class Results(Interface):
    def test_configuration_names_and_modes(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster)
        self.pgcertd(policy).once()
        directory = self.directory_of(policy, "server")
        self.assertEqual(cluster.configuration.read_text(), (
            "# made by pgcertd\nssl = on\n"
            f"ssl_cert_file = '{directory}/server-cert.pem'\n"
            f"ssl_key_file = '{directory}/server-key.pem'\n"
            f"ssl_ca_file = '{directory}/ca-cert.pem'\n"))
        for path, mode in ((directory, 0o755), (directory / "generation-1", 0o755),
                           (directory / "server-key.pem", 0o600),
                           (directory / "server-cert.pem", 0o644),
                           (directory / "ca-cert.pem", 0o644), (cluster.configuration, 0o644)):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), mode, path)
        for name in ("server-cert.pem", "server-key.pem", "ca-cert.pem"):
            self.assertEqual(os.readlink(directory / name), f"current/{name}")
        self.assertEqual(os.readlink(directory / "current"), "generation-1")

    def test_no_client_is_asked_where_no_certificate_is_for_one(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster, clients=())
        policy["clusters"]["main"]["verify"] = {}
        self.pgcertd(policy).once()
        self.assertRegex(cluster.configuration.read_text(), "(?m)^ssl_ca_file = ''$")
        self.assertIn("No client certificate CA names sent",
                      harness.openssl_served(cluster.port))

    def test_a_service_file_is_all_that_psql_needs(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster)
        directory = self.directory_of(policy, "app")
        for rekey in ("1y", "always"):
            policy["certificates"]["app"].update(rekey=rekey, service={
                "file": "pg_service.conf", "name": "svc", "host": "localhost",
                "hostaddr": "127.0.0.1", "port": cluster.port, "dbname": "postgres",
                "application_name": "it's \\ quoted"})
            daemon = self.pgcertd(policy)
            daemon.once()
            text = (directory / "pg_service.conf").read_text()
            self.assertEqual("/generation-" in text, rekey == "always", text)
            self.assertEqual(cluster.psql(
                "service=svc", "select client_dn, ssl, current_setting('application_name') from "
                "pg_stat_ssl where pid = pg_backend_pid()",
                PGSERVICEFILE=f"{directory}/pg_service.conf").stdout,
                "/CN=app|t|it's \\ quoted\n")
            policy["certificates"]["app"]["directory"] = str(self.path("again"))
            directory = self.directory_of(policy, "app")
            cluster.configuration.unlink()
            policy["certificates"]["server"]["directory"] = str(self.path("ssl-again"))

    def test_a_bundle_is_the_union_of_those_it_meets(self):
        cluster = self.postgres(roles=("app", "other"))
        policy = self.basic_policy(cluster)
        policy["authorities"]["clients"] = {"subject": {"O": "Clients", "CN": "clients"}}
        policy["certificates"]["other"] = {
            "use": "client", "authority": "clients", "role": "other",
            "directory": str(self.path("other")), "owner": ME}
        policy["clusters"]["main"]["verify"]["as"] = ["app", "other"]
        daemon = self.up(policy, 0)
        cluster.psql(self.conninfo(daemon, "other"))
        cluster.psql(self.conninfo(daemon, "app"))
        for name, file, count in (("server", "ca-cert.pem", 2), ("other", "root.crt", 2),
                                  ("app", "root.crt", 1)):
            text = (self.directory_of(policy, name) / file).read_text()
            self.assertEqual(text.count("BEGIN CERTIFICATE"), count, name)

    def test_names_and_key_types_hold_before_libpq(self):
        for key in ("ed25519", "ecdsa-p384", "rsa-2048"):
            cluster = self.postgres()
            policy = self.basic_policy(cluster, key=key)
            policy["authorities"]["main"]["key"] = "ecdsa-p256"
            policy["certificates"]["server"]["names"] = [
                "localhost", "127.0.0.1", "*.db.example.com", "2001:db8::10"]
            daemon = self.up(policy, 0)
            for host in ("localhost", "a.db.example.com", "2001:db8::10", "127.0.0.1"):
                cluster.psql(self.conninfo(daemon, host=host))
            for host in ("db.example.com", "a.b.db.example.com", "2001:db8::11", "127.0.0.2"):
                done = cluster.psql(self.conninfo(daemon, host=host), check=False)
                self.assertIn("does not match host name", done.stderr, host)

    def test_renew_and_reload_answer_in_json(self):
        policy = self.basic_policy(self.postgres())
        daemon = self.up(policy, 0)
        answer = json.loads(daemon.ctl("renew", "server", "--json").stdout)
        serial = answer["certificates"][0].pop("serial")
        self.assertEqual(serial.lstrip("0"), self.disk(daemon, "server")["serial"])
        self.assertEqual(answer, {"version": 1, "certificates": [{
            "name": "server", "outcome": "renewed", "error": None}]})
        answer = json.loads(daemon.ctl("--json", "renew", "--all").stdout)
        self.assertEqual([row["name"] for row in answer["certificates"]], ["server", "app"])
        self.assertEqual(json.loads(daemon.ctl("--json", "reload").stdout),
                         {"version": 1, "in_force": True})
        self.assertEqual(json.loads(daemon.ctl("renew", "--no-wait", "app", "--json").stdout),
                         {"version": 1, "queued": True})


    def test_a_renewal_that_failed_is_not_told_as_well(self):
        policy = self.basic_policy(self.postgres())
        daemon = self.up(policy, 0)
        before = self.disk(daemon, "server")
        self.directory_of(policy, "server").chmod(0o500)
        try:
            done = daemon.ctl("renew", "server", check=False)
            self.assertEqual(done.returncode, 2)
            self.assertRegex(done.stdout, "^server: not renewed: .*Permission denied")
            done = daemon.ctl("renew", "server", "--json", check=False)
            row = json.loads(done.stdout)["certificates"][0]
            self.assertEqual((done.returncode, row["outcome"], row["serial"]), (2, "failed", None))
            self.assertIn("Permission denied", row["error"])
        finally:
            self.directory_of(policy, "server").chmod(0o755)
        self.assertEqual(self.disk(daemon, "server"), before)
        self.assertEqual(daemon.ctl("renew", "server").returncode, 0)


class Health(Interface):
    def status_of(self, daemon):
        # One answer: between two the health may change.
        done = daemon.ctl("--json", check=False)
        self.assertEqual(done.returncode, json.loads(done.stdout)["health"])
        return done.returncode

    def test_absent_is_a_warning_that_holds_nothing_up(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster)
        policy["clusters"]["gone"] = {"data_directory": f"{self.directory}/gone",
                                      "certificate": "server"}
        daemon = self.up(policy, 1)
        self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])
        self.assertEqual(daemon.ctl("renew", "server").returncode, 0)
        self.assertEqual(daemon.log().count("gone: the data directory is gone"), 1)

    def test_down_is_good_while_nothing_is_owed(self):
        cluster = self.postgres()
        daemon = self.up(self.basic_policy(cluster), 0)
        cluster.stop()
        self.assertEqual(daemon.ctl("check").returncode, 0)
        self.assertEqual(daemon.ctl("renew", "app").returncode, 0, "a client is not served")
        begin = time.monotonic()
        self.assertEqual(daemon.ctl("renew", "server", check=False).returncode, 1)
        self.assertLess(time.monotonic() - begin, 5, "at once")
        self.assertEqual(self.status_of(daemon), 1)
        daemon.stop()
        self.assertEqual(daemon.log().count("the proof is owed"), 1, daemon.log())
        done = daemon.once(expect=1)
        self.assertIn("main: the proof is owed: PostgreSQL is down", done.stderr)
        cluster.start()
        daemon.once()

    def test_down_at_first_is_owed_until_a_look(self):
        cluster = self.postgres()
        cluster.stop()
        daemon = self.up(self.basic_policy(cluster), 1)
        self.assertIn("pgcertctl check", daemon.ctl("check", check=False).stdout)
        cluster.start()
        self.assertEqual(daemon.ctl("check").returncode, 0)
        self.assertEqual(self.status_of(daemon), 0)

    def test_an_owner_without_worker_is_critical_and_holds_up_nothing_else(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster)
        policy["certificates"]["other"] = {
            "use": "client", "authority": "main", "role": "other", "owner": "daemon",
            "directory": f"{self.directory}/other"}
        daemon = self.up(policy, 2)
        self.assertIn("no worker for daemon", daemon.status()["certificates"]["other"]["error"])
        self.assertEqual(daemon.status()["certificates"]["server"]["state"], "ok")
        self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])

    def test_verify_is_compared_and_never_puts_back(self):
        cluster = self.postgres(hba="local all all trust\nhost all all 127.0.0.1/32 trust\n")
        policy = self.basic_policy(cluster)
        policy["clusters"]["main"]["verify"] = {"as": ["app"]}
        daemon = self.up(policy, 0)
        served = harness.served(cluster.port)
        for verify, health, word in (
                ({"as": ["app"], "plaintext": "refused"}, 1, "plaintext"),
                ({"as": ["app"], "plaintext": "ignored"}, 0, None),
                ({"as": ["app"], "min_protocol": "TLSv1.3"}, 1, "TLSv1.2"),
                ({"as": ["app"], "min_protocol": "TLSv1.2"}, 0, None)):
            policy["clusters"]["main"]["verify"] = verify
            daemon.write(policy)
            daemon.ctl("reload")
            self.assertEqual(daemon.ctl("check", check=False).returncode, health, verify)
            self.assertEqual(self.status_of(daemon), health)
            row = daemon.status()["clusters"]["main"]
            self.assertEqual(row["proof"], "proven")
            self.assertIn(word, row["error"]) if word else self.assertIsNone(row["error"])
        cluster.sql("drop role app")
        self.assertEqual(daemon.ctl("check", check=False).returncode, 1)
        self.assertIn("app", daemon.status()["clusters"]["main"]["error"])
        self.assertEqual(harness.served(cluster.port), served)

    def test_a_broken_policy_is_seen_unasked_and_critical_once_it_holds_a_step(self):
        cluster = self.postgres()
        policy = self.short_policy(cluster, "12s", "6s")
        daemon = self.up(policy, 0)
        good = daemon.policy_file.read_text()
        daemon.write(good + "nonsense: 1\n")
        wait_until(lambda: daemon.status()["policy_error"], "it is seen without a signal", 5)
        self.assertIn("nonsense", daemon.status()["policy_error"]["error"])
        self.assertEqual(self.status_of(daemon), 0, "nothing is held yet")
        served = harness.served(cluster.port)
        wait_until(lambda: daemon.status()["health"] == 2, "a step is held", 10)
        self.assertEqual(daemon.status()["certificates"]["server"]["state"], "held")
        self.assertEqual(harness.served(cluster.port), served)
        self.assertEqual(daemon.ctl("renew", "server", check=False).returncode, 2)
        daemon.write(good)
        wait_until(lambda: daemon.status()["health"] == 0, "it is mended without a signal", 10)
        self.assertIsNone(daemon.status()["policy_error"])
        self.assertNotEqual(harness.served(cluster.port), served)

    def test_the_last_half_of_renew_before_is_critical(self):
        """Nothing can be issued: the directory of the server cannot be written."""
        cluster = self.postgres()
        policy = self.short_policy(cluster, "16s", "12s", clients=())
        policy["clusters"]["main"]["verify"] = {}
        daemon = self.up(policy, 0)
        directory = self.directory_of(policy, "server")
        seen = []
        directory.chmod(0o500)
        try:
            def follow():
                seen.append(self.status_of(daemon))
                return daemon.status()["certificates"]["server"]["state"] == "expired"
            wait_until(follow, "it has expired", 25)
        finally:
            directory.chmod(0o755)
        order = [h for n, h in enumerate(seen) if n == 0 or seen[n - 1] != h]
        self.assertEqual(order[-2:], [1, 2], order)
        wait_until(lambda: daemon.status()["health"] == 0, "renewed", 30)


if __name__ == "__main__":
    harness.main()
