"""Units that are killed and restarted all the time, while certificates of seconds renew under load."""

import random

import machine
from harness import Load, wait_until
from machine import conninfo, drop_in, policy, run, served, short, show, systemctl, write_policy

KILLED = ("pgcertd.service", "pgcertd-signer.service", "pgcertd-worker@postgres.service",
          "pgcertd-worker@app.service")


class Killed(machine.Machine):

    def setUp(self):
        drop_in("pgcertd.service", "[Service]\nRestartSec=200ms\n")
        write_policy(short(policy(clients=["app"]), "20s", "12s"))
        self.enable("app")
        self.await_proven()
        self.seen = {served()}

    def tearDown(self):
        super().tearDown()
        self.reset()

    def disturb(self, disturb, renewals=3, least=20):
        """Does so again and again until the server's certificate was renewed some times."""
        done = 0
        generator = random.Random(1)
        with Load([conninfo("app")], threads=2, pause=0.01) as load:

            def is_enough():
                nonlocal done
                disturb(generator)
                done += 1
                self.seen.add(served())
                return len(self.seen) > renewals and done >= least

            wait_until(is_enough, "the server's certificate is renewed", 90)
        self.assertEqual(load.failures, [])
        self.assertGreater(load.connections, 100)
        self.assertNotIn(None, self.seen)
        self.await_proven()
        self.assertEqual(machine.leaf()["sha256"], served())

    def test_killed_in_any_state(self):
        def kill(generator):
            unit = generator.choice(KILLED)
            systemctl("kill", "-s", generator.choice(("KILL", "TERM", "HUP", "ABRT", "STOP")), unit,
                      check=False)
            run("sleep", f"{generator.uniform(0, 0.5):.3f}")
            systemctl("kill", "-s", "CONT", unit, check=False)

        self.disturb(kill)
        systemctl("start", "pgcertd")

    def test_restarted_in_a_loop(self):
        failed = []

        def restart(generator):
            if systemctl("restart", "pgcertd", check=False).returncode != 0:
                failed.append(show("pgcertd", "Result"))

        self.disturb(restart)
        self.assertLessEqual(len(failed), 1, failed)

    def test_sockets_restarted_in_a_loop(self):
        sockets = ("pgcertd-signer.socket", "pgcertd-worker@postgres.socket",
                   "pgcertd-worker@app.socket")

        def restart(generator):
            # systemd refuses to restart a socket whose service is just being started by it.
            systemctl("restart", *sockets, check=False)
            run("sleep", f"{generator.uniform(0.3, 1.5):.3f}")  # as a pass would otherwise never end

        self.disturb(restart)
        systemctl("start", *sockets)
        self.await_proven()


if __name__ == "__main__":
    machine.main()
