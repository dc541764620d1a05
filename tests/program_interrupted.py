"""A rollover that is interrupted, everywhere: killed, restored, changed, without PostgreSQL, too late."""

import collections
import os
import pathlib
import shutil
import signal
import time

import harness
from harness import ME, Load, Scene, wait_until
from program_chains import certificates
from program_rollover import history

DISTRIBUTE = 2  # seconds
PROGRAMS = ("pgcertd", "pgcertd-signer", "pgcertd-worker")[
    :None if os.environ.get("PGCERTD_TEST_WHOLE") else 1]


class Interrupted(Scene):
    def started(self, **authority):
        self.cluster = self.postgres(roles=("app", "late"))
        policy = self.basic_policy(self.cluster, backdate="1s")
        policy["check_every"] = "1s"
        policy["authorities"]["main"].update({"distribute": f"{DISTRIBUTE}s", **authority})
        self.daemon = self.pgcertd(policy)
        self.daemon.start()
        wait_until(self.is_well, "all is proven")
        return policy

    def is_well(self):
        return self.daemon.status().get("health") == 0

    def phases(self):
        status = self.daemon.status()
        return [g["phase"] for g in status.get("authorities", {}).get("main", {}).get(
            "generations", [])]

    def has(self, event, n=1):
        return len(history(self.daemon, event)) >= n

    def load(self):
        return Load([f"{self.conninfo(self.daemon)} port={self.cluster.port}"])

    def names(self):
        """pgcertd and what it started, by name."""
        found = {"pgcertd": self.daemon.process.pid}
        for pid in self.daemon.children():
            try:
                # A child is a pgcertd until it has become another program.
                found.setdefault(pathlib.Path(f"/proc/{pid}/comm").read_text().strip(), pid)
            except OSError:
                pass
        return found

    def kill(self, name):
        """Whichever is alive of them, and whether it was; pgcertd itself is started again."""
        pid = self.names().get(name)
        if pid:
            os.kill(pid, signal.SIGKILL)
        if name == "pgcertd":
            self.daemon.process.wait(10)
            self.daemon.start()
        return bool(pid)

    def finish(self, rollovers=1):
        """The rollover comes to its end all the same, and readers have moved."""
        wait_until(lambda: self.has("ca-activated", rollovers), "the next CA signs", 60)
        self.daemon.ctl("renew", "--all")
        wait_until(self.is_well, "all is proven")
        self.assertProven(self.daemon)

    def test_killed_between_any_two_steps(self):
        self.started()
        number = 0
        killed = collections.Counter()
        with self.load() as load:
            for name in PROGRAMS:
                for moment in None, "ca-prepared", "ca-announced", "ca-activated":
                    number += 1
                    self.daemon.ctl("rotate", "main", "--no-wait")
                    if moment:
                        wait_until(lambda m=moment, n=number: self.has(m, n), f"{moment} {number}")
                    killed[name] += self.kill(name)
                    if not moment:
                        # What was only asked for may be forgotten with who was asked.
                        wait_until(self.is_well, "all is proven")
                        if not self.has("ca-prepared", number):
                            self.daemon.ctl("rotate", "main", "--no-wait")
                    self.finish(number)
        self.assertEqual(load.failures, [], self.daemon.log()[-4000:])
        self.assertGreater(load.connections, 100)
        for name in PROGRAMS:
            self.assertGreaterEqual(killed[name], 1, f"{name} was hit")
        # A step is done once for each generation: it is told at most twice where the teller died.
        for event in "ca-prepared", "ca-activated":
            seen = [line["generation"] for line in history(self.daemon, event)]
            self.assertEqual(sorted(set(seen)), list(range(2, number + 2)))
            self.assertLessEqual(max(collections.Counter(seen).values()), 2, seen)

    def test_postgres_is_down_while_the_next_ca_begins_to_sign(self):
        self.started()
        self.daemon.ctl("rotate", "main")
        self.cluster.stop()
        wait_until(lambda: self.has("ca-activated"), "a server that is down holds nothing up")
        self.daemon.ctl("renew", "--all", check=False)
        self.cluster.start()
        wait_until(self.is_well, "all is proven")
        self.cluster.psql(self.conninfo(self.daemon))
        self.assertEqual(len(certificates(
            f"{self.daemon.policy['certificates']['server']['directory']}/server-cert.pem")), 2)

    def test_the_policy_changes_in_the_middle(self):
        policy = self.started()
        directory = self.path("client-late")
        changes = {
            "distribute": lambda p: p["authorities"]["main"].update(distribute="4s"),
            "lifetime": lambda p: p["defaults"].update(lifetime="20d"),
            "a certificate more": lambda p: p["certificates"].update(late={
                "use": "client", "authority": "main", "role": "late",
                "directory": str(directory), "owner": ME}),
            "a certificate less": lambda p: p["certificates"].pop("late"),
            "type of key": lambda p: p["authorities"]["main"].update(key="ecdsa-p384"),
            "subject": lambda p: p["authorities"]["main"].update(subject={"CN": "other"}),
        }
        with self.load() as load:
            for name, change in changes.items():
                with self.subTest(change=name):
                    newest = self.newest()
                    self.daemon.ctl("rotate", "main", check=False)
                    change(policy)
                    self.daemon.write(policy)
                    self.daemon.ctl("reload")
                    wait_until(lambda n=newest: self.newest("current") > n, "the next CA signs", 60)
                    self.daemon.ctl("renew", "--all")
                    wait_until(self.is_well, "all is proven")
            # What was asked of the CA itself comes by another rollover, where one went on already.
            wait_until(lambda: "CN=other G" in self.current()["subject"], "the subject", 60)
        self.assertEqual(load.failures, [], self.daemon.log()[-4000:])
        self.assertGreater(load.connections, 100)

    def generations(self):
        return self.daemon.status()["authorities"]["main"]["generations"]

    def newest(self, phase=None):
        return max([g["number"] for g in self.generations() if phase in (None, g["phase"])],
                   default=0)

    def current(self):
        return next(g for g in self.generations() if g["phase"] == "current")

    def test_asked_for_once_more(self):
        self.started(distribute="5s")
        reloads = self.cluster.reloads()
        first = self.daemon.ctl("rotate", "main")
        second = self.daemon.ctl("rotate", "main")
        self.assertIn("under way", second.stdout)
        self.assertEqual(first.returncode, second.returncode)
        self.assertEqual(len(history(self.daemon, "ca-prepared")), 1)
        wait_until(lambda: self.has("ca-announced"), "both are trusted")
        self.assertEqual(self.cluster.reloads(), reloads + 1, "one for all that it changed")
        wait_until(lambda: self.has("ca-activated"), "it goes on")
        self.assertEqual(self.daemon.log().count("is going to sign from"), 1, "told once, ahead")
        self.assertEqual(len(history(self.daemon, "ca-prepared")), 1)

    def test_the_signer_is_restored_from_before(self):
        self.started()
        signer = self.daemon.state / "signer"
        backup = self.path("backup")
        self.daemon.stop()
        shutil.copytree(signer, backup)
        self.daemon.start()
        self.daemon.ctl("rotate", "main")
        self.finish()
        self.daemon.stop()
        shutil.rmtree(signer)
        shutil.copytree(backup, signer)
        with self.load() as load:
            before = {name: self.disk(self.daemon, name) for name in ("server", "app")}
            self.daemon.start()
            status = self.daemon.status()
            error = status["authorities"]["main"]["error"] or ""
            self.assertRegex(error, "restored|does not know|behind", status)
            self.assertNotEqual(status["health"], 0)
            done = self.daemon.ctl("renew", "server", check=False)
            self.assertEqual(done.returncode, 2, done.stdout)
            for _ in range(2):
                self.daemon.ctl("check", check=False)
            self.assertEqual({name: self.disk(self.daemon, name) for name in before}, before)
            wait_until(lambda: load.connections > 20, "some more connections")
        self.assertEqual(load.failures, [])

    def replace(self, number):
        """An emergency, up to where the fresh CA signs and nobody has its leaves yet."""
        self.daemon.ctl("rotate", "main", "--emergency", "--yes", "--no-wait")
        wait_until(lambda: self.has("ca-replaced", number), "a fresh CA signs")

    def finish_replacing(self, number):
        wait_until(lambda: self.has("ca-retired", number), "the stolen one is gone")
        wait_until(self.is_well, "all is proven")
        self.assertEqual([g["number"] for g in self.generations()], [number + 1])
        self.assertProven(self.daemon)

    def test_an_emergency_killed_in_the_middle(self):
        self.started()
        with self.load() as load:
            self.replace(1)
            self.kill("pgcertd")
            self.finish_replacing(1)
            wait_until(lambda n=load.connections: load.connections > n + 20, "some more logins")
        self.assertEqual(load.failures, [], self.daemon.log()[-4000:])
        # And what lies there in the middle is enough for a PostgreSQL that starts.
        self.replace(2)
        os.kill(self.daemon.process.pid, signal.SIGKILL)
        self.daemon.process.wait(10)
        self.cluster.restart()
        self.cluster.psql(self.conninfo(self.daemon))
        self.daemon.start()
        self.finish_replacing(2)
        self.cluster.psql(self.conninfo(self.daemon))

    def test_the_ca_expired_while_nobody_was_there(self):
        policy = self.started()
        policy["defaults"].update({"lifetime": "8s", "renew_before": "5s"})
        policy["authorities"] = {"short": {**policy["authorities"]["main"], "lifetime": "24s"}}
        for certificate in policy["certificates"].values():
            certificate["authority"] = "short"
        self.daemon.stop()
        shutil.rmtree(self.daemon.state)
        for certificate in policy["certificates"].values():
            shutil.rmtree(certificate["directory"])
        self.daemon.write(policy)
        self.daemon.start()
        wait_until(self.is_well, "all is proven")
        end = time.time() + 25
        self.daemon.stop()
        wait_until(lambda: time.time() > end, "the CA has expired", 40)
        self.daemon.start()
        wait_until(self.is_well, "it has made another one and moved", 60)
        self.cluster.psql(self.conninfo(self.daemon))


if __name__ == "__main__":
    harness.main()
