"""The unit: reload, readiness, status, watchdog, a stop, owners whose worker is missing."""

import pathlib

import machine
from harness import wait_until
from machine import (drop_in, is_active, messages, policy, run, served, show, status, systemctl, told,
                     write_policy)


class Service(machine.Machine):

    def setUp(self):
        write_policy(policy(clients=["app"]))
        self.enable("app")
        self.await_proven()

    def tearDown(self):
        super().tearDown()
        self.reset()

    def hang_the_worker(self):
        """A worker of postgres that takes connections and answers nothing: a pass waits for it."""
        drop_in("pgcertd-worker@postgres.service",
                "[Service]\nExecStart=\nExecStart=/bin/sleep infinity\n")
        self.addCleanup(systemctl, "stop", "pgcertd-worker@postgres.service")
        self.addCleanup(drop_in, "pgcertd-worker@postgres.service", None)
        wait_until(lambda: not is_active("pgcertd-worker@postgres.service"), "it has ended")

    def begin_a_pass_that_hangs(self):
        self.hang_the_worker()
        run("pgcertctl", "renew", "--no-wait", "server")
        wait_until(lambda: is_active("pgcertd-worker@postgres.service"), "the pass has begun")

    def reload_and_be_told(self):
        """As soon as the reload is over the journal has one event more, its own."""
        before = len(told("POLICY_LOADED", "-u", "pgcertd"))
        systemctl("reload", "pgcertd")
        entries = told("POLICY_LOADED", "-u", "pgcertd")
        self.assertEqual(len(entries), before + 1)
        self.assertEqual(entries[-1]["MESSAGE"], "/etc/pgcertd/pgcertd.yaml is in force")

    def test_reload_waits_until_the_policy_is_in_force(self):
        changed = policy(clients=["app"])
        changed["certificates"]["server"]["names"].append("db1.example.com")
        write_policy(changed)
        self.reload_and_be_told()
        wait_until(lambda: "db1.example.com" in run(
            "openssl", "x509", "-in", machine.SSL / "server.crt", "-noout", "-text").stdout,
            "the certificate has the new name")
        self.await_proven()

    def test_reload_does_not_wait_for_a_worker_that_hangs(self):
        self.begin_a_pass_that_hangs()
        changed = policy(clients=["app"])
        changed["certificates"]["server"]["names"].append("db1.example.com")
        write_policy(changed)
        self.reload_and_be_told()

    def test_a_start_with_a_broken_policy_is_told_and_ends_when_it_is_mended(self):
        drop_in("pgcertd.service", "[Service]\nRestartSec=1s\n")
        self.addCleanup(drop_in, "pgcertd.service", None)
        systemctl("stop", "pgcertd")
        write_policy(machine.POLICY.read_text().replace('"30d"', '"31 dayz"'))
        self.assertNotEqual(systemctl("start", "pgcertd", check=False).returncode, 0)
        texts = [e["MESSAGE"] for e in told("POLICY_BROKEN", "-u", "pgcertd", "-p", "err")]
        self.assertTrue(any("31 dayz" in m for m in texts), texts)
        wait_until(lambda: "the policy is broken" in show("pgcertd", "StatusText"), "its status")
        write_policy(policy(clients=["app"]))
        wait_until(lambda: is_active("pgcertd"), "it starts by itself")
        self.await_proven()

    def test_check_names_missing_workers_before_the_first_start(self):
        systemctl("stop", "pgcertd", "pgcertd-signer.socket", "pgcertd-worker@app.socket",
                  "pgcertd-worker@postgres.socket")
        told = run("pgcertd", "--check").stderr
        self.assertIn("systemctl enable --now pgcertd-worker@app.socket", told)
        self.assertNotIn("pgcertd-worker@postgres", told)
        systemctl("start", "pgcertd-worker@app.socket", "pgcertd")

    def test_reload_of_a_wrong_policy_fails_and_the_old_one_stays(self):
        before = served()
        pid = show("pgcertd", "MainPID")
        write_policy(machine.POLICY.read_text().replace('"30d"', '"30 dayz"'))
        done = systemctl("reload", "pgcertd", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(is_active("pgcertd"))
        self.assertEqual(show("pgcertd", "MainPID"), pid)
        self.assertEqual(served(), before)
        texts = [e["MESSAGE"] for e in told("POLICY_BROKEN", "-u", "pgcertd")]
        self.assertTrue(any(m.startswith("/etc/pgcertd/pgcertd.yaml:3:13: ") and "30 dayz" in m
                            for m in texts), texts)
        self.assertEqual(len([m for m in messages() if "30 dayz" in m]), 1, messages())
        self.assertIn("30 dayz", run("pgcertctl", "reload", check=False).stderr)
        self.assertIn("the policy on disk is broken", show("pgcertd", "StatusText"))
        write_policy(policy(clients=["app"]))
        systemctl("reload", "pgcertd")
        self.await_proven()
        wait_until(lambda: "OK: 2 certificates; next: renew " in show("pgcertd", "StatusText"),
                   "the status line says so")

    def test_ready_does_not_wait_for_postgresql(self):
        for name, stop, go in (
                ("down", ("stop", machine.POSTGRES_UNIT), ("start", machine.POSTGRES_UNIT)),
                ("hung", ("kill", "--kill-who=main", "-s", "STOP", machine.POSTGRES_UNIT),
                 ("kill", "--kill-who=main", "-s", "CONT", machine.POSTGRES_UNIT))):
            with self.subTest(postgres=name):
                systemctl(*stop)
                try:
                    systemctl("restart", "pgcertd")
                    self.assertTrue(is_active("pgcertd"))
                finally:
                    systemctl(*go)
                self.await_proven()

    def test_the_watchdog_is_armed_for_the_length_of_a_pass(self):
        drop_in("pgcertd.service", "[Service]\nWatchdogSec=2s\nRestartSec=0\n")
        self.addCleanup(drop_in, "pgcertd.service", None)
        systemctl("restart", "pgcertd")
        self.await_proven()
        wait_until(lambda: show("pgcertd", "WatchdogUSec") == "0", "it is not armed between passes")
        pid = show("pgcertd", "MainPID")
        self.begin_a_pass_that_hangs()
        self.assertEqual(show("pgcertd", "WatchdogUSec"), "2s")
        wait_until(lambda: show("pgcertd", "MainPID") not in (pid, "0"), "the hung pgcertd is killed")
        self.assertIn("watchdog", "\n".join(messages()))
        self.doCleanups()
        self.await_proven()

    def test_it_stops_in_the_middle_of_a_pass(self):
        drop_in("pgcertd.service", "[Service]\nTimeoutStopSec=1s\n")
        self.addCleanup(drop_in, "pgcertd.service", None)
        self.begin_a_pass_that_hangs()
        systemctl("stop", "pgcertd")
        self.assertEqual(show("pgcertd", "Result"), "success")

    def test_an_owner_without_a_worker_is_told_and_holds_nobody_up(self):
        command = "systemctl enable --now pgcertd-worker@app.socket"
        systemctl("disable", "--now", "pgcertd-worker@app.socket", "pgcertd-worker@app.service")
        before = served()
        checked = run("pgcertd", "--check")
        self.assertIn(f"no worker for app: there is no socket in /run/pgcertd HINT: Run: {command}",
                      checked.stderr)
        run("pgcertctl", "renew", "server")
        self.assertNotEqual(served(), before)
        self.assertIn(command, status()["certificates"]["app"]["error"])
        self.assertEqual(status()["health"], 2)
        self.assertIn(command, "\n".join(messages()))
        run(*command.split())
        run("pgcertctl", "renew", "app")
        self.await_proven()
        self.assertNotIn("no worker", run("pgcertd", "--check").stderr)

    def test_without_a_signer_what_is_served_stays(self):
        before = served()
        systemctl("stop", "pgcertd-signer.socket", "pgcertd-signer.service")
        self.assertEqual(run("pgcertctl", "renew", "server", check=False).returncode, 2)
        command = "systemctl restart pgcertd-signer.socket"
        self.assertIn(command, run("pgcertctl", check=False).stdout)
        self.assertEqual(served(), before)
        run(*command.split())
        run("pgcertctl", "renew", "server")
        self.await_proven()


if __name__ == "__main__":
    machine.main()
