"""Boots: PostgreSQL starts after pgcertd has looked, with or without it; expired while off."""

import pathlib
import sys
import time

import boot
import machine
from harness import ends_at, wait_until
from machine import (POSTGRES_UNIT, drop_in, is_active, journal, policy, served, short, show, systemctl,
                     write_policy)

LIFETIME = 12  # seconds


def seconds_policy():
    return short(policy(clients=["app"]), f"{LIFETIME}s", "6s")


def start_together():
    """As the boot does it: one transaction, in which only the order counts."""
    systemctl("stop", POSTGRES_UNIT, "pgcertd")
    systemctl("start", "--no-block", "pgcertd", check=False)
    systemctl("start", POSTGRES_UNIT)


class BeforeTheBoot(machine.Machine):

    def test_certificates_expire_while_the_machine_is_off(self):
        systemctl("enable", "postgresql")
        write_policy(seconds_policy())
        self.enable("app")
        self.await_proven()
        systemctl("stop", "pgcertd", POSTGRES_UNIT)
        end = max(ends_at(machine.SSL / "server.crt"),
                  ends_at("/home/app/.postgresql/postgresql.crt"))
        wait_until(lambda: time.time() > end, "the certificates have expired", 60)


class AfterTheBoot(machine.Machine):

    @classmethod
    def setUpClass(cls):
        systemctl("start", "--no-block", "multi-user.target")
        wait_until(lambda: is_active(POSTGRES_UNIT), "PostgreSQL has started")

    def test_1_what_expired_is_renewed_before_postgresql_starts(self):
        wait_until(machine.is_proven, "everything is proven")
        self.assertEqual(show("pgcertd", "Result"), "success")
        started = int(show(POSTGRES_UNIT, "InactiveExitTimestampMonotonic"))
        published = [int(e["__MONOTONIC_TIMESTAMP"]) for e in journal("-b", "-u", "pgcertd")
                     if e["MESSAGE"].startswith("server: published")]
        self.assertLess(int(show("pgcertd", "ActiveEnterTimestampMonotonic")), started)
        self.assertLess(published[0], started)
        log = pathlib.Path(f"/var/log/postgresql/postgresql-{machine.MAJOR}-main.log").read_text()
        self.assertNotIn("SSL configuration was not reloaded", log)
        self.assertGreater(ends_at(machine.SSL / "server.crt"), time.time())

    def test_2_postgresql_starts_when_pgcertd_is_masked(self):
        systemctl("stop", "pgcertd")
        systemctl("mask", "--runtime", "pgcertd")
        try:
            start_together()
            self.assertTrue(is_active(POSTGRES_UNIT))
            self.assertFalse(is_active("pgcertd"))
        finally:
            systemctl("unmask", "--runtime", "pgcertd")

    def test_3_postgresql_starts_when_pgcertd_is_broken_which_recovers_by_itself(self):
        write_policy("version: 2\n")
        start_together()
        self.assertTrue(is_active(POSTGRES_UNIT))
        self.assertFalse(is_active("pgcertd"))
        write_policy(policy(clients=["app"]))
        wait_until(lambda: is_active("pgcertd"), "pgcertd has started again")
        wait_until(machine.is_proven, "everything is proven")

    def test_4_postgresql_starts_when_pgcertd_is_slow(self):
        drop_in("pgcertd.service",
                "[Service]\nTimeoutStartSec=2s\nExecStart=\nExecStart=/bin/sleep infinity\n")
        try:
            start_together()
            self.assertTrue(is_active(POSTGRES_UNIT))
        finally:
            drop_in("pgcertd.service", None)
            systemctl("stop", "pgcertd")

    def test_5_nothing_requires_pgcertd(self):
        systemctl("start", "pgcertd")
        for name in ("RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf"):
            self.assertEqual(show("pgcertd", name), "", name)
        wait_until(machine.is_proven, "everything is proven")
        before = served()
        systemctl("kill", "-s", "KILL", "pgcertd", check=False)
        systemctl("stop", "pgcertd")
        self.assertTrue(is_active(POSTGRES_UNIT))
        self.assertEqual(served(), before)


if __name__ == "__main__":
    wanted = "BeforeTheBoot" if machine.BOOT == 0 else "AfterTheBoot"
    program = machine.unittest.main(verbosity=2, argv=[sys.argv[0], wanted], exit=False)
    if not program.result.wasSuccessful():
        sys.exit(1)
    sys.exit(boot.REBOOT if machine.BOOT == 0 else 0)
