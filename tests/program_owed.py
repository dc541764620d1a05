"""A PostgreSQL that cannot be asked: nothing is put back, and the proof is made when it can be."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import harness
from harness import ME, Scene, each_major, wait_until


class Owed(Scene):
    def set_up(self, **more):
        """A proven cluster and its pgcertd, with the patience of a test."""
        cluster = self.postgres(**more)
        policy = self.basic_policy(cluster)
        policy["check_every"] = "1s"
        policy["clusters"]["main"]["timeout"] = "1s"
        daemon = self.pgcertd(policy).start()
        wait_until(lambda: daemon.status()["health"] == 0, "the first set is proven")
        return cluster, daemon

    def look(self, daemon, proof, state, health, *words):
        """Waits until `status` tells these, in JSON, as text and as the exit status alike."""
        def is_told():
            told = daemon.status()
            return (told["clusters"]["main"]["proof"] == proof and told["health"] == health and
                    told["certificates"]["server"]["state"] == state and told)
        try:
            told = wait_until(is_told, f"{proof}, {state}, {health}", 15)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(daemon.status(), indent=1)}\n"
                                 f"{daemon.log()[-3000:]}") from None
        done = daemon.ctl("status", check=False)
        self.assertEqual(done.returncode, health, done.stdout)
        for word in words:
            self.assertIn(word, told["clusters"]["main"]["error"] or "")
            self.assertIn(word, " ".join(done.stdout.split()))
        return told

    def nothing_is_put_back(self, daemon, leaf):
        self.assertEqual(self.disk(daemon, "server"), leaf)
        self.assertTrue(pathlib.Path(daemon.policy["clusters"]["main"]["configuration"]).exists())
        self.assertNotIn("put back", daemon.log())
        directory = pathlib.Path(daemon.policy["certificates"]["server"]["directory"])
        self.assertEqual(list(directory.glob("generation-*/refused")), [])

    def renew(self, daemon, status=1, limit=20.0):
        """Renews; returns the leaf on disk, and fails where the answer was not in time."""
        before, begin = self.disk(daemon, "server"), time.monotonic()
        done = daemon.ctl("renew", "server", check=False)
        self.assertLess(time.monotonic() - begin, limit)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr + daemon.log()[-2000:])
        leaf = self.disk(daemon, "server")
        self.assertNotEqual(leaf["sha256"], before["sha256"])
        self.assertEqual(leaf["public_key"], before["public_key"])
        self.assertIn(leaf["serial"], done.stdout)
        return leaf

    def proven_in_the_end(self, cluster, daemon, leaf):
        self.look(daemon, "proven", "ok", 0)
        self.assertEqual(self.disk(daemon, "server"), leaf, "no further certificate was issued")
        self.assertEqual(harness.served(cluster.port), leaf["sha256"])
        cluster.psql(self.conninfo(daemon))
        self.assertRegex(daemon.log(), f"PostgreSQL serves server, serial 0?{leaf['serial']},")

    @each_major
    def test_down(self):
        cluster, daemon = self.set_up()
        cluster.stop()
        self.look(daemon, "proven", "ok", 0)
        leaf = self.renew(daemon, limit=8.0)
        told = self.look(daemon, "owed", "owed", 1, "PostgreSQL is down")
        self.assertFalse(told["clusters"]["main"]["running"])
        self.assertEqual(told["certificates"]["server"]["disk"]["serial"].lstrip("0"),
                         leaf["serial"])
        self.nothing_is_put_back(daemon, leaf)
        cluster.start()
        self.proven_in_the_end(cluster, daemon, leaf)
        self.assertEqual(cluster.reloads(), 1, "what it loaded at its start needs no reload")

    def test_a_pid_file_that_was_left_behind(self):
        cluster, daemon = self.set_up()
        cluster.process.kill()
        cluster.process.wait()
        self.assertTrue((cluster.data / "postmaster.pid").exists())
        leaf = self.renew(daemon, limit=8.0)
        self.look(daemon, "owed", "owed", 1, "PostgreSQL is down")
        self.nothing_is_put_back(daemon, leaf)
        cluster.start()
        self.proven_in_the_end(cluster, daemon, leaf)

    @each_major
    def test_starting(self):
        """Held at a named pipe before its sockets are open: postmaster.pid is not whole yet."""
        cluster, daemon = self.set_up()
        cluster.stop()
        conf, pipe = cluster.data / "postgresql.conf", cluster.directory / "pipe"
        plain = conf.read_text()
        os.mkfifo(pipe)
        conf.write_text(f"{plain}ssl_dh_params_file = '{pipe}'\n")
        cluster.process = harness.spawn([f"{cluster.bindir}/postgres", "-D", str(cluster.data)],
                                        cluster.log_file)
        wait_until(lambda: (cluster.data / "postmaster.pid").exists(), "it has begun to start")
        self.look(daemon, "proven", "ok", 0)
        leaf = self.renew(daemon, limit=8.0)
        told = self.look(daemon, "owed", "owed", 1, "PostgreSQL is starting")
        self.assertFalse(told["clusters"]["main"]["reachable"])
        self.nothing_is_put_back(daemon, leaf)
        conf.write_text(plain)
        with open(pipe, "wb"):
            pass  # an empty file: PostgreSQL logs it and takes its own parameters, or ends
        with contextlib.suppress(subprocess.TimeoutExpired):
            cluster.process.wait(1)
        if cluster.process.poll() is not None:
            cluster.start()
        self.proven_in_the_end(cluster, daemon, leaf)

    @each_major
    def test_recovering_for_long(self):
        """Archive recovery that waits for a segment: not hot, so no session is let in."""
        cluster, daemon = self.set_up()
        cluster.stop()
        wait = cluster.directory / "wait"
        wait.touch()
        with open(cluster.data / "postgresql.conf", "a", encoding="utf-8") as out:
            out.write("hot_standby = off\nrestore_command = "
                      f"'while test -e {wait}; do sleep 0.1; done; false'\n")
        (cluster.data / "recovery.signal").touch()
        cluster.process = harness.spawn([f"{cluster.bindir}/postgres", "-D", str(cluster.data)],
                                        cluster.log_file)
        wait_until(lambda: harness.served(cluster.port), "it answers while it recovers")
        self.assertNotEqual(cluster.psql(f"host={cluster.directory} user={ME} dbname=postgres",
                                         check=False).returncode, 0)
        self.look(daemon, "proven", "ok", 0)
        leaf = self.renew(daemon, status=0)
        self.assertEqual(harness.served(cluster.port), leaf["sha256"])
        wait.unlink()
        wait_until(cluster._is_ready, "the recovery ends")
        self.proven_in_the_end(cluster, daemon, leaf)

    @each_major
    def test_a_standby_that_lets_nobody_in(self):
        cluster, daemon = self.set_up()
        cluster.stop()
        (cluster.data / "standby.signal").touch()
        with open(cluster.data / "postgresql.conf", "a", encoding="utf-8") as out:
            out.write("hot_standby = off\n")
        cluster.process = harness.spawn([f"{cluster.bindir}/postgres", "-D", str(cluster.data)],
                                        cluster.log_file)
        wait_until(lambda: harness.served(cluster.port), "it answers")
        leaf = self.renew(daemon, status=0)
        self.look(daemon, "proven", "ok", 0)
        self.assertEqual(harness.served(cluster.port), leaf["sha256"])
        self.nothing_is_put_back(daemon, leaf)

    @each_major
    def test_hung(self):
        cluster, daemon = self.set_up()
        pid = cluster.process.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            leaf = self.renew(daemon)
            self.look(daemon, "owed", "owed", 1, "did not answer")
            self.nothing_is_put_back(daemon, leaf)
            self.assertIn("the proof is owed", daemon.log())
        finally:
            os.kill(pid, signal.SIGCONT)
        self.proven_in_the_end(cluster, daemon, leaf)

    def test_hung_with_nothing_owed(self):
        """Without a renewal too: it is not seen to serve what it should, and that is told."""
        cluster, daemon = self.set_up()
        leaf = self.disk(daemon, "server")
        os.kill(cluster.process.pid, signal.SIGSTOP)
        try:
            told = self.look(daemon, "owed", "owed", 1)
            self.assertFalse(told["clusters"]["main"]["reachable"])
            self.assertTrue(told["clusters"]["main"]["running"])
            self.nothing_is_put_back(daemon, leaf)
        finally:
            os.kill(cluster.process.pid, signal.SIGCONT)
        self.proven_in_the_end(cluster, daemon, leaf)

    @each_major
    def test_out_of_connections(self):
        cluster, daemon = self.set_up(settings="max_connections = 5\n"
                                               "superuser_reserved_connections = 0\n"
                                               "max_wal_senders = 0\n")
        with contextlib.ExitStack() as sessions:
            for _ in range(5):
                sessions.enter_context(self.session(cluster))
            full = cluster.psql(f"host={cluster.directory} user={ME} dbname=postgres", check=False)
            self.assertIn("too many clients", full.stderr)
            leaf = self.renew(daemon, status=0)
            self.assertEqual(harness.served(cluster.port), leaf["sha256"])
            self.look(daemon, "proven", "ok", 0)
            self.nothing_is_put_back(daemon, leaf)
        self.proven_in_the_end(cluster, daemon, leaf)

    @contextlib.contextmanager
    def session(self, cluster):
        """One that stays: psql waits for what is written to it."""
        process = subprocess.Popen(
            [harness.client(cluster.bindir, "psql"), "-XAtq",
             f"host={cluster.directory} port={cluster.port} user={ME} dbname=postgres"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        process.stdin.write(b"select 'here';\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), b"here\n")
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(10)
            process.stdout.close()

    @each_major
    def test_shutting_down_while_a_session_stays(self):
        cluster, daemon = self.set_up()
        with self.session(cluster):
            cluster.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "stopping" in (cluster.data / "postmaster.pid").read_text(),
                       "the smart shutdown has begun")
            leaf = self.renew(daemon, status=0)
            self.assertEqual(harness.served(cluster.port), leaf["sha256"])
            self.look(daemon, "proven", "ok", 0)
        cluster.process.wait(20)
        self.look(daemon, "proven", "ok", 0)
        cluster.start()
        self.proven_in_the_end(cluster, daemon, leaf)

    @each_major
    def test_without_tcp(self):
        cluster, daemon = self.set_up()
        cluster.stop()
        conf = cluster.data / "postgresql.conf"
        with_tcp = conf.read_text()
        conf.write_text(with_tcp + "listen_addresses = ''\n")
        cluster.start()
        leaf = self.renew(daemon, status=0)
        reloads = cluster.reloads()
        told = self.look(daemon, "unverifiable", "ok", 0)
        self.assertFalse(told["clusters"]["main"]["reachable"])
        self.nothing_is_put_back(daemon, leaf)
        wait_until(lambda: daemon.ctl("check", check=False).returncode == 0, "checked")
        self.assertEqual(cluster.reloads(), reloads, "it is made to load once, not in every pass")
        conf.write_text(with_tcp)
        cluster.restart()
        self.proven_in_the_end(cluster, daemon, leaf)

    def test_survives_the_death_of_each_program(self):
        cluster, daemon = self.set_up()
        cluster.stop()
        leaf = self.renew(daemon)
        self.look(daemon, "owed", "owed", 1)
        for _ in range(2):
            daemon.process.kill()
            daemon.process.wait()
            daemon.start()
            self.look(daemon, "owed", "owed", 1, "PostgreSQL is down")
            self.assertEqual(self.disk(daemon, "server"), leaf)
        daemon.stop()
        history = (daemon.state / "history.jsonl").read_text()
        self.assertIn(leaf["serial"], history, "what was issued is in the history")
        daemon.start()
        self.look(daemon, "owed", "owed", 1)
        cluster.start()
        self.proven_in_the_end(cluster, daemon, leaf)
        # And a proof that was made is one after a restart with PostgreSQL down.
        daemon.stop()
        cluster.stop()
        daemon.start()
        self.look(daemon, "proven", "ok", 0)
        self.assertEqual(self.disk(daemon, "server"), leaf)

    def test_workers_and_signers_that_die_in_a_pass(self):
        cluster, daemon = self.set_up()
        os.kill(cluster.process.pid, signal.SIGSTOP)
        try:
            waiting = subprocess.Popen([harness.program("pgcertctl"), "--runtime-dir",
                                        daemon.runtime, "renew", "server"],
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            killed = 0
            deadline = time.monotonic() + 20
            while waiting.poll() is None and time.monotonic() < deadline:
                for pid in daemon.children():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed += 1
                time.sleep(0.15)
            self.assertGreater(killed, 0)
            told = waiting.communicate(timeout=5)[0].decode()
            self.assertIn(waiting.returncode, (1, 2), told)
            self.assertIsNone(daemon.process.poll())
        finally:
            os.kill(cluster.process.pid, signal.SIGCONT)
        self.look(daemon, "proven", "ok", 0)
        self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])
        cluster.psql(self.conninfo(daemon))
        self.renew(daemon, status=0)

    def test_made_by_a_restart_of_both_at_once(self):
        cluster, daemon = self.set_up()
        for _ in range(3):
            cluster.stop()
            leaf = self.renew(daemon)
            daemon.process.kill()
            daemon.process.wait()
            daemon.start(wait=False)
            cluster.start()
            wait_until(lambda: daemon.runtime.joinpath("control.sock").exists(), "it listens")
            self.proven_in_the_end(cluster, daemon, leaf)

    def test_another_server_on_its_port(self):
        """What answers must be the postmaster of the data directory, or nothing is learnt."""
        cluster, daemon = self.set_up()
        cluster.stop()
        leaf = self.renew(daemon)
        other = self.postgres("other", roles=())
        other.stop()
        with open(other.data / "postgresql.conf", "a", encoding="utf-8") as out:
            out.write(f"port = {cluster.port}\n")
        other.port = cluster.port
        other.start()
        self.look(daemon, "owed", "owed", 1, "PostgreSQL is down")
        self.nothing_is_put_back(daemon, leaf)
        other.stop()
        cluster.start()
        self.proven_in_the_end(cluster, daemon, leaf)


if __name__ == "__main__":
    harness.main()
