"""The clock as the installed service sees it, which may not ask the kernel."""

import os
import pathlib
import time

import machine
from machine import policy, status

STAMP = pathlib.Path("/run/systemd/timesync/synchronized")


class Clock(machine.Machine):
    def setUp(self):
        super().setUp()
        machine.write_policy(policy())
        self.enable()
        self.await_proven()

    def tearDown(self):
        super().tearDown()
        STAMP.unlink(missing_ok=True)
        self.reset()

    def test_nothing_is_said_of_it_where_nobody_can_be_asked(self):
        STAMP.unlink(missing_ok=True)
        self.assertIsNone(status()["clock_synchronised"])
        self.assertNotIn("\npgcertd_clock_synchronised",
                         pathlib.Path("/run/pgcertd/pgcertd.prom").read_text())

    def test_timesyncd_is_believed_while_it_steers(self):
        STAMP.parent.mkdir(exist_ok=True)
        STAMP.touch()
        self.assertIs(status()["clock_synchronised"], True)
        old = time.time() - 86400  # as after a step by hand
        os.utime(STAMP, (old, old))
        self.assertIs(status()["clock_synchronised"], False)
        self.assertEqual(status()["health"], 0)


if __name__ == "__main__":
    machine.main()
