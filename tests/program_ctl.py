"""pgcertctl against a running pgcertd: what it prints, and how it exits."""

import json
import re
import signal

import harness
from harness import Scene, run, wait_until

TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"


class Control(Scene):
    def begin(self, policy=None):
        self.cluster = self.postgres()
        self.daemon = self.pgcertd(policy or self.basic_policy(self.cluster)).start()
        wait_until(lambda: self.daemon.status().get("health") == 0, "all is proven")

    def test_status_has_a_row_per_reader_and_fits_a_terminal(self):
        self.begin()
        for arguments in ([], ["status"]):
            done = self.daemon.ctl(*arguments)
            self.assertEqual(done.returncode, 0)
            for word in ("server", "app"):
                self.assertRegex(done.stdout, rf"(?m)\b{word}\b")
            for line in done.stdout.split("\n"):
                self.assertLessEqual(len(line), 80, line)

    def test_plan_tells_years_ahead(self):
        self.begin()
        done = self.daemon.ctl("plan", "--until", "2y")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^2\d{3}-\S+ issue certificate app: ")
        data = json.loads(self.daemon.ctl("--json", "plan", "--until", "2y").stdout)
        self.assertTrue(data["complete"])
        self.assertRegex(data["steps"][0]["at"], TIME)
        for wrong in (["plan", "--until", "soon"], ["plan", "--until"], ["status", "--until", "1y"]):
            self.assertEqual(self.daemon.ctl(*wrong, check=False).returncode, 3, wrong)

    def test_json_keeps_its_shape(self):
        self.begin()
        for arguments in (["--json"], ["status", "--json"], ["--json", "status"]):
            data = json.loads(self.daemon.ctl(*arguments).stdout)
            self.assertEqual(data["version"], 1)
        self.assertEqual(data["health"], 0)
        self.assertEqual(sorted(data["next"]), ["at", "what"])
        self.assertRegex(data["next"]["at"], TIME)
        rows = {row["name"]: row for row in data["certificates"]}
        self.assertEqual(sorted(rows), ["app", "server"])
        row = rows["server"]
        for key in ("use", "authority", "state", "wanted", "disk", "served", "renew_at", "error"):
            self.assertIn(key, row)
        self.assertEqual((row["use"], row["authority"], row["state"]), ("server", "main", "ok"))
        self.assertIsNone(row["error"])
        self.assertRegex(row["renew_at"], TIME)
        for truth in ("wanted", "disk", "served"):
            self.assertRegex(row[truth]["sha256"], r"^[0-9a-f]{64}$")
            self.assertRegex(row[truth]["serial"], r"^[0-9a-f]+$")
            self.assertRegex(row[truth]["not_before"], TIME)
            self.assertRegex(row[truth]["not_after"], TIME)
            self.assertIn("generation", row[truth])
        self.assertEqual(len({row[t]["sha256"] for t in ("wanted", "disk", "served")}), 1)
        cluster = data["clusters"][0]
        self.assertEqual((cluster["name"], cluster["running"], cluster["reachable"],
                          cluster["proof"], cluster["error"]),
                         ("main", True, True, "proven", None))
        self.assertEqual(cluster["served"]["sha256"], row["served"]["sha256"])
        authority = data["authorities"][0]
        self.assertEqual(authority["name"], "main")
        generation = authority["generations"][0]
        self.assertRegex(generation["subject"], r"CN ?= ?root G1 [0-9a-f]{8}")
        self.assertEqual(generation["phase"], "current")
        self.assertRegex(generation["not_after"], TIME)

    def test_renew_returns_when_the_new_leaf_is_served(self):
        self.begin()
        seen = [harness.served(self.cluster.port)]
        for _ in range(3):
            self.assertEqual(self.daemon.ctl("renew", "server").returncode, 0)
            seen.append(harness.served(self.cluster.port))
            self.assertEqual(seen[-1], self.disk(self.daemon, "server")["sha256"])
        self.assertEqual(len(set(seen)), 4)
        client = self.disk(self.daemon, "app")["serial"]
        self.daemon.ctl("renew", "app")
        self.assertNotEqual(self.disk(self.daemon, "app")["serial"], client)
        self.assertEqual(harness.served(self.cluster.port), seen[-1], "only the named one")
        self.daemon.ctl("renew", "--all")
        self.assertNotEqual(harness.served(self.cluster.port), seen[-1])
        self.assertProven(self.daemon)

    def test_renew_without_waiting_is_done_soon(self):
        self.begin()
        before = harness.served(self.cluster.port)
        self.daemon.ctl("renew", "server", "--no-wait")
        wait_until(lambda: harness.served(self.cluster.port) not in (before, None), "renewed")

    def test_renew_owes_its_proof_while_postgresql_is_down(self):
        self.begin()
        before = self.disk(self.daemon, "server")["serial"]
        self.cluster.stop()
        self.assertEqual(self.daemon.ctl("renew", "server", check=False, timeout=20).returncode, 1)
        self.assertNotEqual(self.disk(self.daemon, "server")["serial"], before)
        self.cluster.start()
        self.assertEqual(harness.served(self.cluster.port),
                         self.disk(self.daemon, "server")["sha256"])
        self.assertEqual(self.daemon.ctl("check").returncode, 0)

    def test_renew_of_an_unknown_name_fails(self):
        self.begin()
        done = self.daemon.ctl("renew", "servre", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("servre", done.stdout + done.stderr)

    def test_check_looks_now_and_changes_nothing(self):
        self.begin()
        before = harness.served(self.cluster.port), self.cluster.reloads()
        done = self.daemon.ctl("check")
        self.assertIn("server", done.stdout)
        self.assertEqual((harness.served(self.cluster.port), self.cluster.reloads()), before)
        json.loads(self.daemon.ctl("check", "--json").stdout)

    def test_reload_brings_a_policy_in_force_or_tells_its_errors(self):
        self.begin()
        policy = self.daemon.policy
        names = ["localhost", "127.0.0.1", "db1.example.com"]
        policy["certificates"]["server"]["names"] = names
        self.daemon.write(policy)
        self.assertEqual(self.daemon.ctl("reload").returncode, 0)
        directory = policy["certificates"]["server"]["directory"]
        wait_until(lambda: "db1.example.com" in run(
            "openssl", "x509", "-in", f"{directory}/server-cert.pem", "-noout", "-text").stdout,
            "a leaf with the new name")
        wait_until(lambda: harness.served(self.cluster.port) ==
                   self.disk(self.daemon, "server")["sha256"], "it is served")
        good = self.daemon.policy_file.read_text()
        self.daemon.write(good.replace("version: 1", "version: 1\nnonsense: 1"))
        done = self.daemon.ctl("reload", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout + done.stderr, r"pgcertd\.yaml:2:1: ")
        self.cluster.psql(self.conninfo_of(policy))
        self.daemon.write(good)
        self.assertEqual(self.daemon.ctl("reload").returncode, 0)

    def conninfo_of(self, policy):
        self.daemon.policy = policy
        return self.conninfo(self.daemon)

    def test_exits_3_on_wrong_usage_and_where_nobody_answers(self):
        self.begin()
        for arguments in (["nonsense"], ["--nonsense"], ["renew"], ["status", "stray"],
                          ["renew", "--no-wait"]):
            done = self.daemon.ctl(*arguments, check=False)
            self.assertEqual(done.returncode, 3, arguments)
            self.assertTrue(done.stderr, arguments)
        self.daemon.process.send_signal(signal.SIGTERM)
        self.daemon.process.wait(10)
        for arguments in ([], ["--json"], ["renew", "server"], ["check"], ["reload"]):
            done = self.daemon.ctl(*arguments, check=False)
            self.assertEqual(done.returncode, 3, arguments)
            self.assertIn("control.sock", done.stderr, arguments)
        self.assertTrue(re.search("usage|Usage", self.daemon.ctl("--help").stdout))


if __name__ == "__main__":
    harness.main()
