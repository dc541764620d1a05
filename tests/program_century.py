"""Ten years with a CA of two years and leaves of thirty days: the clock is moved, nobody notices."""

import calendar
import glob
import os
import time
import unittest

import harness
from harness import Scene, wait_until
from program_rollover import history

LIBRARY = next(iter(sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))), None)
SHIM = f"{os.environ.get('PGCERTD_BUILD', harness.SOURCE / 'build')}/tests/libstepclock.so"
DAY = 86400
YEARS = float(os.environ.get("PGCERTD_TEST_YEARS", "10"))
STEP = 2.5  # days between two looks: less than the longest outage that costs nothing
DISTRIBUTE = 7


def seconds(when):
    """2026-01-31T12:00:00Z of a status as seconds of the epoch."""
    return calendar.timegm(time.strptime(when, "%Y-%m-%dT%H:%M:%SZ"))


@unittest.skipUnless(LIBRARY and os.path.exists(SHIM), "libfaketime is not installed")
class Century(Scene):
    def setUp(self):
        super().setUp()
        self.clock = self.directory / "clock"
        self.fake = {"LD_PRELOAD": f"{SHIM} {LIBRARY}", "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                     "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                     "STEPCLOCK_SYNCHRONISED": str(self.directory / "never"), "TZ": "UTC"}
        self.step(0)

    def step(self, offset):
        self.offset = offset
        new = self.clock.with_suffix(".new")
        new.write_text(f"{offset:+d}\n")
        new.rename(self.clock)

    def under(self, start, *arguments, **more):
        before = dict(os.environ)
        os.environ.update(self.fake)
        try:
            return start(*arguments, **more)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def started(self):
        self.cluster = self.under(self.postgres)
        policy = self.basic_policy(self.cluster, "30d", "10d")
        policy.update({"check_every": "1h", "max_clock_step": "100y"})
        policy["authorities"]["main"].update({"distribute": f"{DISTRIBUTE}d", "lifetime": "2y"})
        self.daemon = self.pgcertd(policy)
        self.under(self.daemon.start)
        wait_until(lambda: self.daemon.status()["health"] == 0, "all is proven")

    def settle(self):
        """A pass by the clock as it is, and those that follow from it."""
        self.daemon.ctl("reload")
        self.daemon.ctl("check", check=False)
        return wait_until(self.settled, f"nothing is due: {self.daemon.log()[-3000:]}")

    def settled(self):
        status = self.daemon.status()
        now = time.time() + self.offset
        due = [row["renew_at"] for row in status["certificates"].values()]
        due += [row["next"]["at"] for row in status["authorities"].values() if row["next"]]
        return status if status["health"] == 0 and all(
            at is None or seconds(at) > now for at in due) else None

    def connect(self, what):
        """From here, with the bundle as it is; and from a machine that copies it every distribute."""
        self.tried += 2
        for name, trust in (("here", None), ("copied", self.copy)):
            conninfo = self.conninfo(self.daemon)
            if trust:
                conninfo = conninfo.replace(conninfo.partition("sslrootcert=")[2].split()[0],
                                            str(trust))
            done = self.cluster.psql(conninfo, check=False, **self.fake)
            if done.returncode:
                self.failures.append(f"{what}, {name}: {done.stderr}")

    def fetch(self):
        self.copy.write_text(self.daemon.ctl("bundle", "main").stdout)
        self.fetched = self.offset

    def test_ten_years(self):
        self.copy = self.directory / "ca-cert.pem"
        self.tried, self.failures, leaves = 0, [], set()
        self.started()
        self.fetch()
        pid = self.cluster.process.pid
        events = 0
        while self.offset < YEARS * 365.25 * DAY:
            # What is copied is as old as may be: fetched only when distribute is over.
            if self.offset - self.fetched >= DISTRIBUTE * DAY:
                self.fetch()
            self.step(min(self.offset + int(STEP * DAY), self.fetched + DISTRIBUTE * DAY))
            self.connect(f"day {self.offset / DAY:g}, before")
            status = self.settle()
            if len(history(self.daemon)) != events:
                self.connect(f"day {self.offset / DAY:g}, after")
            events = len(history(self.daemon))
            for row in status["certificates"].values():
                leaves.add(row["disk"]["serial"])
            self.assertEqual(self.failures, [], self.timeline())
        rollovers = len(history(self.daemon, "ca-activated"))
        print(self.timeline())
        print(f"{len(leaves)} leaves, {rollovers} rollovers, {self.tried} connections")
        self.assertGreaterEqual(len(leaves), int(YEARS * 12))
        self.assertGreaterEqual(rollovers, int(YEARS * 0.4))
        self.assertEqual(self.cluster.process.pid, pid)
        self.assertNotIn("not reloaded", self.cluster.log())

    def timeline(self):
        """The history as lines of time, with what the log says of the CA."""
        return "\n".join(f"{line['at']} {line['event']} "
                         f"{line.get('certificate') or line.get('cluster') or line.get('subject')} "
                         f"{line.get('serial') or line.get('reason') or ''}".rstrip()
                         for line in history(self.daemon)
                         if line["event"].startswith("ca-") or line["event"] == "published")


if __name__ == "__main__":
    harness.main()
