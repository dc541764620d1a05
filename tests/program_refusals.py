"""Kinds of refusal: settings of the user, a key somebody touched, an old set that is no way back."""

import os
import pathlib
import shutil
import signal

import harness
from harness import Scene, each_major, wait_until

# What the user sets beside us, PostgreSQL's words for it, and what the hint names.
SETTINGS = (
    ("a cipher list", "ssl_ciphers = 'NONSENSE'", "could not set the .*cipher list",
     "ssl_ciphers"),
    ("a list of revoked certificates", "ssl_crl_file = '{junk}'",
     "could not load SSL certificate revocation list file", "ssl_crl_file"),
    ("a curve", "ssl_ecdh_curve = 'nonsense'", "unrecognized curve|could not set group names",
     "ssl_(ecdh_curve|groups)"),
    ("versions of the protocol",
     "ssl_min_protocol_version = 'TLSv1.3'\nssl_max_protocol_version = 'TLSv1.2'",
     "could not set SSL protocol version range", "ssl_max_protocol_version"),
)
SPOILT = "ssl_crl_file = '/nonexistent/root.crl'"
WORDS = "could not load SSL certificate revocation list file"


class Refusals(Scene):
    def start(self, edit=None, settings="", timeout="1s"):
        self.cluster = self.postgres(settings=settings)
        policy = self.basic_policy(self.cluster)
        policy["check_every"] = "1s"
        policy["clusters"]["main"]["timeout"] = timeout
        if edit:
            edit(policy)
        self.daemon = self.pgcertd(policy).start()
        wait_until(lambda: self.daemon.status()["health"] == 0, "the first set is proven")
        self.ssl = pathlib.Path(policy["certificates"]["server"]["directory"])

    def wait(self, condition, what, limit=harness.LIMIT):
        try:
            wait_until(condition, what, limit)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.daemon.status()}\n{self.daemon.log()[-4000:]}")

    def set(self, line):
        with open(self.cluster.data / "postgresql.conf", "a", encoding="utf-8") as out:
            out.write(line + "\n")

    def unset(self, line):
        path = self.cluster.data / "postgresql.conf"
        path.write_text(path.read_text().replace(line + "\n", ""))

    def row(self, name="server"):
        return self.daemon.status()["certificates"][name]

    def assertTold(self, words, state="refused", proof="proven", health=1):
        """Status as text and JSON, its exit status and the log say the same words."""
        self.wait(lambda: self.row()["state"] == state, state)
        told = self.daemon.status()
        self.assertEqual(told["clusters"]["main"]["proof"], proof, told)
        self.assertEqual(told["health"], health, told)
        self.assertRegex(told["certificates"]["server"]["error"], words)
        done = self.daemon.ctl("status", check=False)
        self.assertEqual(done.returncode, health, done.stdout)
        self.assertRegex(" ".join(done.stdout.split()), words)
        self.assertRegex(self.daemon.log(), words)

    def renew_held(self, meanwhile, *options):
        """A renewal with PostgreSQL stopped between the switch and its loading."""
        before = self.daemon.generation("server")
        os.kill(self.cluster.process.pid, signal.SIGSTOP)
        try:
            self.daemon.ctl("renew", "server", "--no-wait", *options)
            wait_until(lambda: self.daemon.generation("server") != before, "it is switched")
            meanwhile()
        finally:
            os.kill(self.cluster.process.pid, signal.SIGCONT)
        return before

    def recovers(self):
        self.wait(lambda: self.daemon.status()["health"] == 0 and self.row()["state"] == "ok",
                  "it recovers", 15)
        leaf = self.disk(self.daemon, "server")["sha256"]
        self.assertEqual(harness.served(self.cluster.port), leaf)
        self.cluster.restart()
        self.assertEqual(harness.served(self.cluster.port), leaf)
        self.cluster.psql(self.conninfo(self.daemon))

    @each_major
    def test_settings_of_the_user(self):
        self.start()
        junk = self.path("junk")
        junk.write_text("junk\n")
        for what, line, words, hint in SETTINGS:
            with self.subTest(what):
                before = self.disk(self.daemon, "server")
                self.set(line.format(junk=junk))
                done = self.daemon.ctl("renew", "server", check=False)
                if done.returncode == 0 and hint == "ssl_ciphers":
                    # OpenSSL 1.1.1 goes on with the ciphers of TLS 1.3.
                    self.assertNotRegex(self.cluster.log(), words)
                    self.unset(line)
                    continue
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertRegex(done.stdout, f"({words}).*HINT: .*{hint}")
                self.assertTold(words)
                self.assertEqual(self.disk(self.daemon, "server"), before)
                self.assertEqual(harness.served(self.cluster.port), before["sha256"])
                told = self.daemon.log().count("did not load")
                wait_until(lambda: self.daemon.log().count("did not load") > told,
                           "it is tried again")
                self.assertEqual(harness.served(self.cluster.port), before["sha256"])
                self.unset(line.format(junk=junk))
                self.recovers()
                self.assertNotEqual(self.disk(self.daemon, "server"), before)

    @each_major
    def test_a_passphrase_command_is_no_matter(self):
        """Our keys have none: it is never asked, and reloads without supports_reload."""
        self.start(settings="ssl_passphrase_command = '/bin/false'\n"
                            "ssl_passphrase_command_supports_reload = off\n")
        self.daemon.ctl("renew", "server")
        self.recovers()

    @each_major
    def test_back_to_an_encrypted_key_of_the_user(self):
        """Ours is refused at the first turn-on: his own goes on being served, not reloadable."""
        own = self.path("own")
        own.mkdir()
        harness.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:secret",
                    "-keyout", own / "own.key", "-out", own / "own.crt", "-subj", "/CN=own",
                    "-days", "9")
        (own / "own.key").chmod(0o600)
        self.cluster = self.postgres()
        path = self.cluster.data / "postgresql.conf"
        path.write_text(f"ssl = on\nssl_cert_file = '{own}/own.crt'\n"
                        f"ssl_key_file = '{own}/own.key'\n"
                        "ssl_passphrase_command = 'echo secret'\n" + path.read_text())
        self.cluster.restart()
        before = harness.pem_facts(own / "own.crt")["sha256"]
        self.assertEqual(harness.served(self.cluster.port), before)
        self.spoil()
        policy = self.basic_policy(self.cluster)
        policy["check_every"] = "1s"
        policy["clusters"]["main"]["timeout"] = "2s"
        self.daemon = self.pgcertd(policy).start()
        wait_until(lambda: self.row()["state"] == "refused", "it is refused")
        self.assertIn(WORDS, self.row()["error"])
        self.assertFalse(self.cluster.configuration.exists())
        self.assertEqual(harness.served(self.cluster.port), before)
        self.mend()
        self.recovers()

    def check_key_by_hand(self, change, words):
        """A kept key is one file in both generations, so there is no good old set; a new one is
        alone, and its set is put back. Either way it is mended by another publication."""
        self.start(timeout="2s")
        for rekey in ((), ("--rekey",)):
            with self.subTest(rekey=rekey):
                before, told = self.disk(self.daemon, "server"), len(self.daemon.log())
                old = self.renew_held(lambda: change(self.ssl / "server-key.pem"), *rekey)
                new = self.daemon.generation("server")
                self.wait(lambda: self.daemon.generation("server") not in (old, new) and
                          self.row()["state"] == "ok", "it is mended", 15)
                log = self.daemon.log()[told:]
                self.assertIn(words, log)
                self.assertIn(f"generation {old[-1]} is put back" if rekey
                              else "nothing is put back", log)
                self.recovers()
                self.assertNotEqual(self.disk(self.daemon, "server"), before)

    @each_major
    def test_a_key_that_others_may_read(self):
        self.check_key_by_hand(lambda key: key.chmod(0o644), "has group or world access")

    def test_a_key_with_an_access_list(self):
        self.check_key_by_hand(lambda key: harness.run("setfacl", "-m", "u:daemon:r", key),
                               "has group or world access")

    @each_major
    def test_a_key_that_somebody_encrypted(self):
        def encrypt(key):
            text = harness.run("openssl", "pkey", "-aes256", "-passout", "pass:x", "-in",
                               key).stdout
            key.write_text(text)
        self.check_key_by_hand(encrypt, "cannot be reloaded because it requires a passphrase")

    def spoil(self):
        self.set(SPOILT)

    def mend(self):
        self.unset(SPOILT)

    @each_major
    def test_an_expired_set_is_not_put_back(self):
        def edit(policy):
            policy["defaults"].update(lifetime="4s", renew_before="1500ms", backdate="0s")
            policy["authorities"]["main"]["distribute"] = "0s"
            policy["check_every"] = "1s"
        self.start(edit)
        self.daemon.stop()
        before = self.disk(self.daemon, "server")
        wait_until(lambda: harness.run("openssl", "x509", "-noout", "-checkend", "0", "-in",
                                       self.ssl / "server-cert.pem", check=False).returncode,
                   "it expires")
        self.spoil()
        policy = self.daemon.policy
        policy["defaults"].update(lifetime="30d", renew_before="10d")
        self.daemon.write(policy)
        self.daemon.start()
        wait_until(lambda: "nothing is put back" in self.daemon.log(), "it is told at once")
        self.assertEqual(harness.served(self.cluster.port), before["sha256"])
        self.assertNotEqual(self.disk(self.daemon, "server"), before)
        self.assertTold(WORDS, proof="refused", health=2)
        self.assertRegex(self.row()["error"], "; nothing is put back: .* expired at .* HINT: Mend")
        done = self.daemon.ctl("check", check=False)
        self.assertIn("nothing is put back", " ".join(done.stdout.split()))
        self.assertEqual(done.returncode, 2)
        done = self.daemon.ctl("renew", "server", check=False)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("nothing is put back", done.stdout)
        self.mend()
        self.recovers()

    @each_major
    def test_a_set_that_is_gone_is_not_put_back(self):
        self.start(timeout="2s")
        before = self.disk(self.daemon, "server")
        self.spoil()
        old = self.daemon.generation("server")
        self.renew_held(lambda: shutil.rmtree(self.ssl / old))
        wait_until(lambda: "nothing is put back" in self.daemon.log(), "it is told at once")
        self.assertEqual(harness.served(self.cluster.port), before["sha256"])
        self.assertTold(WORDS, proof="refused", health=1)
        self.assertIn("; nothing is put back: ", self.row()["error"])
        self.assertIn("no earlier generation", self.row()["error"])
        told = self.daemon.log().count("nothing is put back")
        wait_until(lambda: self.daemon.log().count("nothing is put back") > told, "it is retried")
        self.mend()
        self.recovers()


if __name__ == "__main__":
    harness.main()
