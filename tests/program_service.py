"""The life of the service: one instance, signals, ends at once, leaves nobody behind."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import harness
from harness import Scene, program, run, wait_until


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Service(Scene):
    def begin(self, short=False, wait=True):
        self.cluster = self.postgres()
        policy = (self.short_policy if short else self.basic_policy)(self.cluster)
        self.daemon = self.pgcertd(policy).start()
        if wait:
            wait_until(lambda: self.daemon.status().get("health") == 0, "all is proven")
        return self.daemon

    def test_nothing_but_pgcertd_is_resident_between_passes(self):
        daemon = self.begin()
        wait_until(lambda: not daemon.children(), "worker and signer are gone", 10)
        self.assertEqual(len(os.listdir(f"/proc/{daemon.process.pid}/task")), 1)

    def test_sigterm_ends_it_at_once_between_passes(self):
        daemon = self.begin()
        status, took = daemon.stop()
        self.assertEqual(status, 0)
        self.assertLess(took, 2)
        self.assertFalse((daemon.runtime / "control.sock").exists())

    def test_sigterm_ends_it_at_once_within_a_pass(self):
        """PostgreSQL is stopped by a signal, so that the proof of a renewal has to wait."""
        daemon = self.begin()
        self.cluster.process.send_signal(signal.SIGSTOP)
        try:
            daemon.ctl("renew", "server", "--no-wait")
            wait_until(lambda: daemon.children(), "a pass runs", 10)
            time.sleep(0.2)
            children = daemon.children()
            status, took = daemon.stop()
        finally:
            self.cluster.process.send_signal(signal.SIGCONT)
        self.assertEqual(status, 0)
        self.assertLess(took, 2)
        wait_until(lambda: not any(map(alive, children)), "its worker and signer end", 5)
        # The proof is owed: the next start settles it.
        daemon.start()
        wait_until(lambda: harness.served(self.cluster.port) ==
                   self.disk(daemon, "server")["sha256"], "what is on disk is served")

    def test_worker_and_signer_end_with_a_killed_pgcertd(self):
        daemon = self.begin()
        self.cluster.process.send_signal(signal.SIGSTOP)
        try:
            daemon.ctl("renew", "--all", "--no-wait")
            children = wait_until(daemon.children, "a pass runs", 10)
            daemon.process.send_signal(signal.SIGKILL)
            daemon.process.wait(5)
        finally:
            self.cluster.process.send_signal(signal.SIGCONT)
        # A worker may be in a handshake: it ends at its deadline at the latest.
        wait_until(lambda: not any(map(alive, children)), "they end too", 15)
        daemon.start()
        wait_until(lambda: daemon.status().get("health") == 0, "the next start mends it")
        self.assertEqual(harness.served(self.cluster.port), self.disk(daemon, "server")["sha256"])

    def test_a_second_instance_says_who_is_running(self):
        daemon = self.begin()
        pid = str(daemon.process.pid)
        for mode in (["--once"], []):
            begin = time.monotonic()
            done = daemon.run(*mode, check=False, timeout=20)
            self.assertNotEqual(done.returncode, 0, mode)
            self.assertIn(pid, done.stderr, mode)
            self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual(daemon.run("--once", check=False).returncode, 3)
        self.assertEqual(daemon.ctl("status").returncode, 0, "the first one is unharmed")

    def test_a_stale_control_socket_is_replaced(self):
        self.cluster = self.postgres()
        daemon = self.pgcertd(self.basic_policy(self.cluster))
        daemon.runtime.mkdir(mode=0o700)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
            stale.bind(str(daemon.runtime / "control.sock"))
        daemon.start()
        wait_until(lambda: daemon.status().get("health") == 0, "it answers")

    def test_sighup_reads_the_policy_again(self):
        daemon = self.begin()
        policy = daemon.policy
        policy["certificates"]["late"] = {
            "use": "client", "authority": "main", "role": "late",
            "directory": str(self.path("late")), "owner": harness.ME}
        daemon.write(policy)
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: daemon.generation("late"), "the new client has its certificate", 10)

    def test_a_broken_policy_is_told_and_what_is_served_stays(self):
        daemon = self.begin()
        leaf = harness.served(self.cluster.port)
        daemon.write("version: 1\nnonsense: 1\n")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "nonsense" in daemon.log(), "the error is told", 10)
        self.assertIsNone(daemon.process.poll())
        self.assertEqual(harness.served(self.cluster.port), leaf)

    def test_log_lines_are_for_people(self):
        daemon = self.begin()
        log = daemon.log()
        self.assertIn("server", log)
        for line in log.strip().split("\n"):
            self.assertRegex(line, r"^pgcertd(-worker|-signer)?: ")
        self.assertNotIn("PRIVATE KEY", log)

    def test_root_is_refused(self):
        if not shutil.which("unshare") or subprocess.run(
                ["unshare", "--map-root-user", "true"], capture_output=True,
                check=False).returncode:
            self.skipTest("no user namespaces")
        daemon = self.pgcertd(self.basic_policy(self.postgres(start=False)))
        for mode in (["--once"], [], ["--plan"]):
            done = run("unshare", "--map-root-user", *daemon.arguments(*mode), check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("root", done.stderr)
        self.assertFalse((daemon.state / "signer").exists())

    def test_a_program_that_is_missing_is_named(self):
        daemon = self.pgcertd(self.basic_policy(self.postgres()))
        alone = self.path("alone")
        alone.mkdir()
        shutil.copy(program("pgcertd"), alone)
        second = re.search(rb"(/[^\0]+/libexec/pgcertd)\0", (alone / "pgcertd").read_bytes())
        self.assertTrue(second, "the compiled-in folder")
        if os.path.exists(os.fsdecode(second.group(1))):
            self.skipTest("it is installed, and so found in libexecdir")
        done = run(alone / "pgcertd", *daemon.arguments("--once")[1:], check=False, timeout=30)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "pgcertd-(worker|signer)")

    def test_with_sockets_nothing_is_started(self):
        daemon = self.pgcertd(self.basic_policy(self.postgres()))
        done = daemon.run("--sockets", "--once", check=False, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse((daemon.state / "signer").exists(), "a CA made by accident")


if __name__ == "__main__":
    harness.main()
