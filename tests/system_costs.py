"""What the installed service costs with three owners: printed for people, and no test of time."""

import pathlib
import re
import time

import machine
from harness import wait_until
from machine import policy, processes, run, show, systemctl, write_policy

IDLE_SEC = 60


def switches(pid):
    return sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)",
                                          pathlib.Path(f"/proc/{pid}/status").read_text()))


class Costs(machine.Machine):
    users = ("app", "billing")

    def test_costs(self):
        write_policy(policy(clients=["app", "billing"]))
        for owner in self.users:
            systemctl("enable", "--now", f"pgcertd-worker@{owner}.socket")
        systemctl("enable", "--now", "pgcertd")
        self.await_proven()
        ready = []
        for _ in range(10):
            systemctl("restart", "pgcertd")
            ready.append((int(show("pgcertd", "ActiveEnterTimestampMonotonic")) -
                          int(show("pgcertd", "InactiveExitTimestampMonotonic"))) / 1000)
        self.await_proven()
        passes = []
        for _ in range(10):
            before = time.monotonic()
            run("pgcertctl", "check")
            passes.append((time.monotonic() - before) * 1000)
        wait_until(lambda: [name for _, name, _ in processes()] == ["pgcertd"], "the others have ended")
        pid, _, _ = next(processes())
        memory = int(re.search(r"(?m)^Pss:\s+(\d+)",
                               pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()).group(1))
        before = switches(pid)
        time.sleep(IDLE_SEC)
        woken = switches(pid) - before
        print(f"start to READY, three owners: {sorted(ready)[5]:.0f} ms\n"
              f"pgcertctl check, three owners: {sorted(passes)[5]:.0f} ms\n"
              f"PSS of all resident programs: {memory} KiB\n"
              f"wake-ups in {IDLE_SEC} s: {woken}", flush=True)
        self.assertLess(memory, 4096)
        self.assertEqual(woken, 0)


if __name__ == "__main__":
    machine.main()
