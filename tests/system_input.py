"""Bad input on a running service: each is told, nothing is lost, and it recovers without a restart."""

import os
import pathlib
import shutil
import socket

import machine
from harness import wait_until
from machine import (POLICY, is_active, messages, policy, run, served, show, status, systemctl, told,
                     write_policy)


def unreadable():
    write_policy(POLICY.read_text() + "\n")
    POLICY.chmod(0)


def empty():
    write_policy("")


def directory():
    POLICY.unlink()
    POLICY.mkdir()


def dangling():
    POLICY.unlink()
    POLICY.symlink_to("/nowhere/at/all")


def huge():
    write_policy("# " + "x" * (20 << 20) + "\n" + POLICY.read_text())


def twice():
    """A name that a drop-in file has already."""
    folder = POLICY.parent / "conf.d"
    folder.mkdir(exist_ok=True)
    (folder / "b.yaml").write_text(
        "version: 1\nauthorities:\n  main:\n    subject: { CN: other }\n")


def without_user():
    run("userdel", "-f", "billing")


BAD = {
    "unreadable": (unreadable, "ermission denied"),
    "empty": (empty, "there is nothing in this file"),
    "a directory": (directory, "is not a regular file"),
    "a link to nowhere": (dangling, "No such file"),
    "20 MiB": (huge, "8 MiB"),
    "the same name twice": (twice, "/etc/pgcertd/pgcertd.yaml:"),
    "an owner that is gone": (without_user, "billing"),
}


class Input(machine.Machine):
    users = ("app", "billing")

    uid = None

    def setUp(self):
        self.uid = self.uid or run("id", "-u", "billing").stdout.strip()
        self.good()
        self.enable("app", "billing")
        self.await_proven()

    def tearDown(self):
        super().tearDown()
        self.good()
        self.reset()

    def good(self):
        if POLICY.is_dir():
            POLICY.rmdir()
        elif POLICY.is_symlink():
            POLICY.unlink()
        shutil.rmtree(POLICY.parent / "conf.d", ignore_errors=True)
        if run("id", "billing", check=False).returncode:
            run("useradd", "-M", "-u", self.uid, "-s", "/bin/sh", "billing")
        write_policy(policy(clients=["app", "billing"]))

    def test_a_bad_policy_is_told_and_changes_nothing(self):
        pid = show("pgcertd", "MainPID")
        for name, (spoil, word) in BAD.items():
            with self.subTest(policy=name):
                before = served(), len(told("POLICY_BROKEN"))
                try:
                    spoil()
                    self.assertNotEqual(systemctl("reload", "pgcertd", check=False).returncode, 0)
                    texts = [e["MESSAGE"] for e in told("POLICY_BROKEN")[before[1]:]]
                    self.assertIn(word, "\n".join(texts))
                    self.assertEqual(served(), before[0])
                    self.assertEqual(show("pgcertd", "MainPID"), pid)
                finally:
                    self.good()
                systemctl("reload", "pgcertd")
                self.await_proven()

    def test_a_drop_in_file_is_part_of_the_policy(self):
        folder = POLICY.parent / "conf.d"
        folder.mkdir()
        value = policy(clients=["app", "billing"])
        extra = {"version": 1, "certificates": {"extra": machine.client(
            "app", directory="/home/app/.extra")}}
        (folder / "extra.yaml").write_text(machine.harness.yaml_text(extra))
        systemctl("reload", "pgcertd")
        wait_until(lambda: "extra" in status()["certificates"] and machine.is_proven(),
                   "it is published")
        self.assertTrue(pathlib.Path("/home/app/.extra/postgresql.crt").exists())
        self.assertEqual(set(status()["certificates"]), {*value["certificates"], "extra"})

    def test_a_socket_that_somebody_else_made(self):
        systemctl("stop", "pgcertd-worker@app.socket", "pgcertd-worker@app.service")
        path = pathlib.Path("/run/pgcertd/worker-app.sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
            stranger.bind(str(path))
            os.chmod(path, 0o666)
            stranger.listen()
            self.assertEqual(run("pgcertctl", "renew", "app", check=False).returncode, 2)
            run("pgcertctl", "renew", "server")  # nobody else is held up
        path.unlink()
        systemctl("start", "pgcertd-worker@app.socket")
        run("pgcertctl", "renew", "app")
        self.await_proven()

    def small(self, path):
        """Puts a file system with little room in the place of a directory."""
        systemctl("stop", "pgcertd", "pgcertd-signer.service", "pgcertd-signer.socket")
        state = os.stat(path)
        aside = pathlib.Path("/srv/aside")
        shutil.rmtree(aside, ignore_errors=True)
        run("cp", "-a", path, aside)
        run("mount", "-t", "tmpfs", "-o", f"size=128k,mode=700,uid={state.st_uid},gid={state.st_gid}",
            "small", path)
        self.addCleanup(run, "umount", "-l", path)
        self.addCleanup(systemctl, "stop", "pgcertd", "pgcertd-signer.service")
        run("cp", "-a", f"{aside}/.", path)
        systemctl("start", "pgcertd")
        self.await_proven()

    def test_a_state_of_the_signer_that_is_full_or_read_only(self):
        self.small(machine.SIGNER_STATE)
        filler = machine.SIGNER_STATE / "filler"
        for name, spoil, mend in (
                ("No space left", ["dd", "if=/dev/zero", f"of={filler}"], ["rm", filler]),
                ("ead-only", ["mount", "-o", "remount,ro", machine.SIGNER_STATE],
                 ["mount", "-o", "remount,rw", machine.SIGNER_STATE])):
            with self.subTest(state=name):
                systemctl("stop", "pgcertd-signer.service")
                before = len(messages())
                run(*spoil, check=False)
                try:
                    # There is room left in the last page of the ledger for a few.
                    wait_until(lambda: run("pgcertctl", "renew", "server",
                                           check=False).returncode == 2, "nothing is issued")
                    self.assertIn(name, "\n".join(messages()[before:]))
                    self.assertEqual(served(), machine.leaf()["sha256"])
                finally:
                    systemctl("stop", "pgcertd-signer.service")
                    run(*mend)
                run("pgcertctl", "renew", "server")
                self.await_proven()

    def test_a_state_of_pgcertd_that_is_full(self):
        path = pathlib.Path("/var/lib/pgcertd")
        self.small(path)
        run("dd", "if=/dev/zero", f"of={path}/filler", check=False)
        before = served()
        run("pgcertctl", "renew", "server")  # what is remembered is not needed for it
        self.assertNotEqual(served(), before)
        self.assertTrue(is_active("pgcertd"))
        os.unlink(path / "filler")
        run("pgcertctl", "renew", "server")
        self.await_proven()


if __name__ == "__main__":
    machine.main()
