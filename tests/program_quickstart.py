"""conf/quickstart shows what it promises, on the built programs, and leaves nothing behind."""

import os
import re

import harness
from harness import SOURCE, Scene, run, wait_until

FINDINGS = ["TLS was turned on without a restart", "works with the client certificate",
            "without TLS is refused", "the served serial changed", "every reader", "0 failures"]


class Quickstart(Scene):
    def quickstart(self, *arguments):
        environment = {"PATH": os.environ["PATH"], "TMPDIR": str(self.directory),
                       "HOME": str(self.directory), "PGCERTD_BUILD": os.environ["PGCERTD_BUILD"]}
        return run("bash", SOURCE / "conf/quickstart", *arguments, env=environment, check=False,
                   timeout=100)

    def test_shows_every_finding_and_cleans_up(self):
        done = self.quickstart()
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])
        told = re.findall(r"(?m)^\d+\. seen +(.*)$", done.stdout)
        for finding in FINDINGS:
            self.assertTrue(any(finding in line for line in told), (finding, told))
        self.assertEqual(os.listdir(self.directory), [], "files are left behind")
        took = int(re.search(r"(?m)^== (\d+) s$", done.stdout).group(1))
        self.assertLess(took, 30)

    def test_can_be_kept_and_ended_as_it_says(self):
        done = self.quickstart("--keep")
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr[-2000:])
        connect, end = re.search(r"Connect:\n(.*)\nEnd it:\n(.*)\n", done.stdout, re.S).groups()
        pid = int(re.search(r"kill -INT (\d+)", end).group(1))
        try:
            again = run("bash", "-ec", connect.replace("psql ", "psql -XAtc 'select 1' "))
            self.assertIn("1", again.stdout.split("\n"))
        finally:
            run("bash", "-c", end)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "pgcertd is gone", 10)
        self.assertEqual(os.listdir(self.directory), [])

    def test_wrong_usage_exits_3(self):
        self.assertEqual(self.quickstart("--wrong").returncode, 3)


if __name__ == "__main__":
    harness.main()
