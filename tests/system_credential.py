"""The CA keys at rest: a passphrase from a credential, its change, a backup and its restoration; and
in the hands of root, who renews a certificate without pgcertd."""

import os
import pathlib
import re
import shutil

import machine
from harness import wait_until
from program_breakglass import page_commands
from machine import SIGNER_STATE, policy, run, served, systemctl, write_policy

SECRET = pathlib.Path("/etc/pgcertd/ca-passphrase")
DROP_IN = pathlib.Path("/etc/systemd/system/pgcertd-signer.service.d/passphrase.conf")
MANUAL = (pathlib.Path(os.environ["PGCERTD_SOURCE"]) / "man/pgcertd.8").read_text()


def change_command():
    """As pgcertd(8) has it."""
    block = re.search(r"(?ms)^\.Bd -literal -offset indent\n(OLD=.*?)^\.Ed$", MANUAL).group(1)
    return block.replace("\\e\n", "\\\n")


def stop():
    systemctl("stop", "pgcertd", "pgcertd-signer.socket", "pgcertd-signer.service")


class Credential(machine.Machine):
    users = ()

    def setUp(self):
        SECRET.parent.mkdir(exist_ok=True)
        DROP_IN.parent.mkdir(parents=True, exist_ok=True)

    def tearDown(self):
        super().tearDown()
        self.drop_in(None)
        self.reset()

    def drop_in(self, setting):
        if setting:
            DROP_IN.write_text(f"[Service]\n{setting}\n")
        else:
            DROP_IN.unlink(missing_ok=True)
        systemctl("daemon-reload")

    def secret(self, path, text):
        path.write_text(text + "\n")
        path.chmod(0o600)

    def begin(self, setting=None):
        self.drop_in(setting)
        write_policy(policy())
        self.enable()
        self.await_proven()

    def key(self):
        return next((SIGNER_STATE / "ca/main").glob("*.key"))

    def renew(self):
        before = served()
        run("pgcertctl", "renew", "server")
        self.assertNotEqual(served(), before)

    def assertLocked(self, passphrase):
        self.assertIn("BEGIN ENCRYPTED PRIVATE KEY", self.key().read_text())
        run("openssl", "pkey", "-in", self.key(), "-passin", f"pass:{passphrase}", "-noout")

    def test_by_default_it_is_a_plain_file_of_the_signer(self):
        self.begin()
        for path, mode in ((self.key(), 0o600), (SIGNER_STATE, 0o700)):
            self.assertEqual(os.stat(path).st_mode & 0o7777, mode)
            self.assertEqual(path.owner(), "pgcertd-signer")

    def test_a_passphrase_from_a_credential_and_its_change(self):
        self.secret(SECRET, "first secret")
        self.begin(f"LoadCredential=ca-passphrase:{SECRET}")
        self.assertLocked("first secret")
        self.renew()
        new = SECRET.with_name("ca-passphrase.new")
        self.secret(new, "second secret")
        stop()
        run("sh", "-c", change_command())
        new.rename(SECRET)
        self.assertLocked("second secret")
        self.assertEqual(self.key().owner(), "pgcertd-signer")
        systemctl("start", "pgcertd")
        self.await_proven()
        self.renew()
        for spoil, words in ((lambda: self.drop_in(None), "ca-passphrase, see pgcertd(8)"),
                             (lambda: (self.drop_in(f"LoadCredential=ca-passphrase:{SECRET}"),
                                       self.secret(SECRET, "third secret")),
                              "with the passphrase that was given")):
            before = served()
            systemctl("stop", "pgcertd-signer.service")
            spoil()
            self.assertEqual(run("pgcertctl", "renew", "server", check=False).returncode, 2)
            self.assertIn(words, "\n".join(machine.messages("pgcertd*.service")))
            self.assertEqual(served(), before)
        systemctl("stop", "pgcertd-signer.service")
        self.secret(SECRET, "second secret")
        self.renew()

    def test_plain_keys_are_encrypted_by_the_same_command(self):
        self.begin()
        SECRET.unlink(missing_ok=True)
        self.secret(SECRET.with_name("ca-passphrase.new"), "the secret\nof one line")
        stop()
        run("sh", "-c", change_command())
        SECRET.with_name("ca-passphrase.new").rename(SECRET)
        self.drop_in(f"LoadCredential=ca-passphrase:{SECRET}")
        self.assertLocked("the secret")
        systemctl("start", "pgcertd")
        self.await_proven()
        self.renew()

    def test_an_interrupted_change_of_the_passphrase_is_finished_by_the_same_command(self):
        self.secret(SECRET, "first secret")
        self.begin(f"LoadCredential=ca-passphrase:{SECRET}")
        new = SECRET.with_name("ca-passphrase.new")
        self.secret(new, "second secret")
        stop()
        first = self.key()
        second = first.with_name("G2.key")  # as after a rollover; it is gone again below
        shutil.copy2(first, second)
        shutil.chown(second, "pgcertd-signer", "pgcertd-signer")
        self.assertIn("\nsync\n", change_command())
        interrupted = change_command().replace("\nsync\n", "\nexit 7\n", 1)
        before = first.read_bytes()
        self.assertEqual(run("sh", "-c", interrupted, check=False).returncode, 7)
        self.assertEqual((first.read_bytes(), second.read_bytes()), (before, before))
        interrupted = change_command().replace("mv $new ${new%.new}", "mv $new ${new%.new}; exit 7")
        self.assertEqual(run("sh", "-c", interrupted, check=False).returncode, 7)
        between = first.read_bytes()
        self.assertNotEqual(between, before)
        self.assertEqual(second.read_bytes(), before)
        run("sh", "-c", change_command())
        self.assertEqual(first.read_bytes(), between, "passed over")
        run("openssl", "pkey", "-in", second, "-passin", "pass:second secret", "-noout")
        self.assertEqual(list(first.parent.glob("*.new")), [])
        second.unlink()
        new.rename(SECRET)
        systemctl("start", "pgcertd")
        self.await_proven()
        self.renew()

    def break_glass(self, commands):
        """What pgcertd(8) says, as root, with nothing changed in it but what the caller did."""
        before = served()
        stop()
        run("bash", "-eu", "-c", commands)
        wait_until(lambda: served() not in (None, before), "the new leaf")
        link = machine.SSL / "server.crt"
        self.assertEqual(machine.leaf()["sha256"], served())
        self.assertFalse(link.is_symlink())
        self.assertEqual((link.owner(), os.stat(link).st_mode & 0o7777), ("postgres", 0o644))
        link.unlink()
        systemctl("start", "pgcertd")
        self.await_proven()
        self.assertTrue(link.is_symlink())
        self.assertEqual(machine.leaf()["sha256"], served())

    def test_the_manual_renews_with_openssl_alone(self):
        self.begin()
        self.break_glass(page_commands())

    def test_the_manual_renews_with_a_key_that_has_a_passphrase(self):
        self.secret(SECRET, "a secret")
        self.begin(f"LoadCredential=ca-passphrase:{SECRET}")
        self.assertLocked("a secret")
        more = "-passin file:/etc/pgcertd/ca-passphrase"
        self.assertIn(f".Ql {more}\n", MANUAL)
        self.break_glass(page_commands().replace("x509 -req ", f"x509 -req {more} "))

    def test_a_passphrase_that_is_encrypted_itself(self):
        self.secret(SECRET, "a secret of this machine")
        locked = SECRET.with_name("ca-passphrase.cred")
        run("systemd-creds", "encrypt", "--with-key=host", "--name=ca-passphrase", SECRET, locked)
        SECRET.unlink()
        self.begin(f"LoadCredentialEncrypted=ca-passphrase:{locked}")
        self.assertLocked("a secret of this machine")
        self.renew()

    def test_a_backup_is_restored(self):
        self.begin()
        before = served()
        run("tar", "-C", "/var/lib", "-czf", "/srv/signer.tar.gz", "pgcertd-signer")
        stop()
        shutil.rmtree(SIGNER_STATE)
        systemctl("start", "pgcertd")
        self.assertNotEqual(run("pgcertctl", "renew", "server", check=False).returncode, 0)
        self.assertEqual(served(), before)
        self.assertEqual(list(SIGNER_STATE.glob("ca/main/*.key")), [])  # no other CA is made
        stop()
        shutil.rmtree(SIGNER_STATE)
        run("tar", "-C", "/var/lib", "-xzf", "/srv/signer.tar.gz")
        systemctl("start", "pgcertd")
        self.await_proven()
        self.renew()


if __name__ == "__main__":
    machine.main()
