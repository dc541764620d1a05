"""A clock that steps: followed where it is believable, doubted where not, and ten years in seconds."""

import glob
import os
import time
import unittest

import harness
from harness import Scene, wait_until

LIBRARY = next(iter(sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))), None)
SHIM = f"{os.environ.get('PGCERTD_BUILD', harness.SOURCE / 'build')}/tests/libstepclock.so"
DAY = 86400


def seconds(when):
    """2026-01-31T12:00:00Z of a status as seconds of the epoch."""
    return time.mktime(time.strptime(when, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone


@unittest.skipUnless(LIBRARY and os.path.exists(SHIM), "libfaketime is not installed (package faketime)")
class Time(Scene):
    def setUp(self):
        super().setUp()
        self.clock = self.directory / "clock"
        self.step(0)
        self.synchronised = self.directory / "synchronised"
        self.fake = {"LD_PRELOAD": f"{SHIM} {LIBRARY}",
                     "STEPCLOCK_SYNCHRONISED": str(self.synchronised), "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                     "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.zone, os.environ["TZ"] = os.environ.get("TZ"), "UTC"
        time.tzset()
        self.addCleanup(self.restore)

    def restore(self):
        for name in (*self.fake, "TZ"):
            os.environ.pop(name, None)
        if self.zone:
            os.environ["TZ"] = self.zone
        time.tzset()

    def step(self, offset):
        """Moves the clock of everything that runs under it, at once."""
        self.offset = offset
        new = self.clock.with_suffix(".new")
        new.write_text(f"{offset:+d}\n")
        new.rename(self.clock)

    def now(self):
        return time.time() + self.offset

    def under_faketime(self, start, *arguments, **more):
        """Calls what starts something that lives by the clock of the test; its children do too."""
        os.environ.update(self.fake)
        try:
            return start(*arguments, **more)
        finally:
            for name in self.fake:
                del os.environ[name]

    def started(self, lifetime, renew_before, **top):
        """A cluster and a service that both live by the clock of the test."""
        self.cluster = self.under_faketime(self.postgres)
        policy = self.basic_policy(self.cluster, lifetime, renew_before)
        policy.update({"check_every": "1s", **top})
        policy["authorities"]["main"].update({"distribute": "0s", "lifetime": "20y"})
        self.daemon = self.pgcertd(policy)
        self.under_faketime(self.daemon.start)
        wait_until(lambda: self.daemon.status()["health"] == 0, "all is proven")

    def row(self, name="server"):
        return self.daemon.status()["certificates"][name]

    def look(self):
        """A pass now; what is published afterwards must be valid by the clock as it is."""
        self.daemon.ctl("reload")
        self.daemon.ctl("check", check=False)
        status = wait_until(self.settled, "the pass left nothing open")
        for name, row in status["certificates"].items():
            disk = row["disk"]
            self.assertLessEqual(seconds(disk["not_before"]), self.now(), name)
            self.assertGreater(seconds(disk["not_after"]), self.now(), name)
        self.assertEqual(harness.served(self.cluster.port),
                         status["certificates"]["server"]["disk"]["sha256"])
        return status

    def settled(self):
        status = self.daemon.status()
        return status if status["health"] == 0 else None

    def login(self):
        self.cluster.psql(self.conninfo(self.daemon), **self.fake)

    def doubts(self):
        return self.daemon.log().count("more than max_clock_step away")

    def test_follows_small_steps_forth_and_back(self):
        self.started("3d", "1d")
        serials = set()
        for hours in 10, 30, 50, 40, 60, 80, 60, 40, 20, 10, 30:
            self.step(hours * 3600)
            serials.add(self.look()["certificates"]["server"]["disk"]["serial"])
            self.login()
        # Forth past two thirds of a life twice, and back before the last leaf's begin.
        self.assertGreaterEqual(len(serials), 4, self.daemon.log())
        self.assertEqual(self.doubts(), 0)

    def test_issues_nothing_after_a_big_step_until_it_is_confirmed(self):
        self.started("30d", "10d")
        before = self.row()["disk"]
        self.step(22 * DAY)
        wait_until(lambda: self.row()["state"] == "held", "the step is seen")
        status = self.daemon.status()
        self.assertEqual(status["health"], 1, "due, but far from its end")
        self.assertRegex(status["certificates"]["server"]["error"],
                         r"the clock said \S+Z where \S+Z was expected.*HINT")
        text = self.daemon.ctl("status", check=False).stdout
        self.assertEqual(text.count("where"), 1, f"one cause, one finding:\n{text}")
        time.sleep(2.2)  # two passes more: there is no condition to wait for
        self.assertEqual(self.doubts(), 1, "told once")
        self.assertEqual(self.row()["disk"], before)
        self.assertEqual(harness.served(self.cluster.port), before["sha256"])

        done = self.daemon.ctl("renew", "server")
        self.assertIn("renewed", done.stdout)
        self.look()
        self.assertNotEqual(self.row()["disk"]["serial"], before["serial"])
        self.assertIn("which confirms it", self.daemon.log())
        self.login()

    def test_goes_on_when_a_big_step_was_taken_back(self):
        self.started("30d", "10d")
        before = self.row()["disk"]
        for offset, health in (22 * DAY, 1), (-3 * DAY, 2), (100 * DAY, 2):
            self.step(offset)
            wait_until(lambda: self.row()["state"] in ("held", "expired"), "the step is seen")
            self.assertEqual(self.daemon.status()["health"], health, offset)
            self.assertEqual(self.row()["disk"], before)
            self.step(0)
            self.look()
            self.assertEqual(self.row()["disk"], before, "nothing had to be done")
        self.assertEqual(self.daemon.log().count("it is back where it was expected"), 3)
        self.login()

    def test_believes_a_clock_that_the_kernel_calls_synchronised(self):
        self.started("30d", "10d")
        before = self.row()["disk"]
        self.step(22 * DAY)
        wait_until(lambda: self.row()["state"] == "held", "the step is seen")
        self.synchronised.touch()
        wait_until(lambda: self.row()["disk"] != before, "the renewal follows by itself")
        self.look()
        self.assertIn("it is synchronised", self.daemon.log())

    def test_mends_what_a_restart_needs_by_any_clock(self):
        self.started("30d", "10d")
        self.step(22 * DAY)
        wait_until(lambda: self.row()["state"] == "held", "the step is seen")
        name = f"{self.daemon.policy['certificates']['server']['directory']}/server-cert.pem"
        os.unlink(name)
        self.cluster.configuration.unlink()
        wait_until(lambda: os.path.islink(name) and self.cluster.configuration.exists(),
                   "the name and the configuration are there again")

    def test_a_start_believes_the_clock_that_it_finds(self):
        self.started("30d", "10d")
        before = self.row()["disk"]
        self.step(22 * DAY)
        wait_until(lambda: self.row()["state"] == "held", "the step is seen")
        self.daemon.stop()
        self.under_faketime(self.daemon.start)
        self.look()
        self.assertNotEqual(self.row()["disk"], before)

    def test_lives_through_ten_years_with_one_postmaster(self):
        self.started("180d", "60d", max_clock_step="60d")
        pid, serials, keys = self.cluster.process.pid, set(), set()
        for day in range(0, 3653, 58):
            self.step(day * DAY)
            serials.add(self.look()["certificates"]["server"]["disk"]["serial"])
            keys.add(self.disk(self.daemon, "server")["public_key"])
        self.login()
        self.assertEqual(self.cluster.process.pid, pid)
        self.assertEqual(self.doubts(), 0)
        self.assertGreaterEqual(len(serials), 3653 // 180)
        self.assertGreaterEqual(len(keys), 9, "a new key a year")
        self.assertNotIn("not reloaded", self.cluster.log())


if __name__ == "__main__":
    harness.main()
