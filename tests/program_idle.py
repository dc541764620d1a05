"""Promise 7: no wake-ups between deadlines, a few MiB of memory."""

import pathlib
import re
import time

import harness
from harness import Scene, wait_until

SECONDS = 4.0
PSS_KIB = 4096


class Idle(Scene):
    def begin(self):
        cluster = self.postgres()
        daemon = self.pgcertd(self.basic_policy(cluster)).start()
        wait_until(lambda: daemon.status().get("health") == 0, "all is proven")
        wait_until(lambda: not daemon.children(), "worker and signer are gone", 10)
        time.sleep(0.3)  # the answer to `status` is over
        return daemon

    @staticmethod
    def switches(pid):
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
        return sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", text))

    def test_sleeps_between_deadlines(self):
        daemon = self.begin()
        before = self.switches(daemon.process.pid)
        time.sleep(SECONDS)
        woken = self.switches(daemon.process.pid) - before
        self.assertLessEqual(woken, 1, f"{woken} context switches in {SECONDS} s of nothing to do")
        # The counter counts: a question wakes it.
        daemon.ctl("status")
        self.assertGreater(self.switches(daemon.process.pid), before)

    def test_is_small(self):
        daemon = self.begin()
        maps = pathlib.Path(f"/proc/{daemon.process.pid}/maps").read_text()
        if "libasan" in maps:
            self.skipTest("sanitizers are not small")
        rollup = pathlib.Path(f"/proc/{daemon.process.pid}/smaps_rollup").read_text()
        pss = int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.M).group(1))
        print(f"PSS {pss} KiB")
        self.assertLess(pss, PSS_KIB)
        self.assertNotIn("libcrypto", maps)


if __name__ == "__main__":
    harness.main()
