"""A site that followed the tutorial moves to pgcertd's own CA, and no client of it fails."""

import pathlib
import shutil

import harness
from harness import ME, Load, Scene, run, wait_until
from program_chains import certificates
from program_rollover import Copies, history

DISTRIBUTE = 3  # seconds


def issue(directory, name, common_name, extensions=None):
    """A certificate as the tutorial makes them: RSA, a hundred years; with extensions, a keyUsage
    without digitalSignature. With that PostgreSQL takes no client's."""
    run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj",
        f"/C=CN/ST=GD/O=Bytebase/CN={common_name}", "-keyout", directory / f"{name}-key.pem",
        "-out", directory / f"{name}.csr")
    (directory / f"{name}.ext").write_text("" if extensions is None else (
        f"keyUsage = nonRepudiation, keyEncipherment, dataEncipherment\n{extensions}"))
    run("openssl", "x509", "-req", "-in", directory / f"{name}.csr", "-days", "36500", "-CA",
        directory / "ca-cert.pem", "-CAkey", directory / "ca-key.pem", "-set_serial",
        str(len(name)), "-extfile", directory / f"{name}.ext", "-out",
        directory / f"{name}-cert.pem")


class Foreign(Scene):
    def site(self, client=None):
        """The tutorial's site, followed to the letter but for its client's wrong usage: a server
        that demands client certificates, a client here, and one on another machine."""
        self.old = self.path("tutorial")
        self.old.mkdir()
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "36500", "-subj",
            "/C=CN/ST=GD/O=Bytebase/CN=root", "-keyout", self.old / "ca-key.pem", "-out",
            self.old / "ca-cert.pem")
        issue(self.old, "server", "localhost",
              "extendedKeyUsage = serverAuth\nsubjectAltName = DNS:localhost, IP:127.0.0.1\n")
        issue(self.old, "client", "app", client)
        ssl = self.path("ssl")
        ssl.mkdir()
        for name in "server-cert.pem", "server-key.pem", "ca-cert.pem":
            shutil.copy(self.old / name, ssl / name)
        (ssl / "server-key.pem").chmod(0o600)
        self.client, self.elsewhere = self.path("client-app"), self.path("elsewhere")
        for directory in self.client, self.elsewhere:
            directory.mkdir()
            for name, source in (("postgresql.crt", "client-cert.pem"),
                                 ("postgresql.key", "client-key.pem"),
                                 ("root.crt", "ca-cert.pem")):
                shutil.copy(self.old / source, directory / name)
            (directory / "postgresql.key").chmod(0o600)
        self.ssl = ssl
        self.cluster = self.postgres(settings=(
            f"ssl = on\nssl_cert_file = '{ssl}/server-cert.pem'\n"
            f"ssl_key_file = '{ssl}/server-key.pem'\nssl_ca_file = '{ssl}/ca-cert.pem'\n"))
        return {
            "version": 1,
            "check_every": "1s",
            "defaults": {"backdate": "1s"},
            "authorities": {"main": {
                "subject": {"C": "CN", "ST": "GD", "O": "Bytebase", "CN": "root"},
                "distribute": f"{DISTRIBUTE}s"}},
            "certificates": {
                "server": {"use": "server", "authority": "main",
                           "names": ["localhost", "127.0.0.1"], "directory": str(ssl), "owner": ME,
                           "files": {"certificate": "server-cert.pem", "key": "server-key.pem",
                                     "trust": "ca-cert.pem"}},
                "app": {"use": "client", "authority": "main", "role": "app",
                        "directory": str(self.client), "owner": ME}},
            "clusters": {"main": {"data_directory": str(self.cluster.data),
                                  "certificate": "server", "verify": {"as": ["app"]}}},
        }

    def conninfos(self):
        return [f"host=localhost hostaddr=127.0.0.1 port={self.cluster.port} dbname=postgres "
                f"user=app sslmode=verify-full gssencmode=disable "
                f"sslcert={d}/postgresql.crt sslkey={d}/postgresql.key sslrootcert={d}/root.crt"
                for d in (self.client, self.elsewhere)]

    def files(self):
        return {path: path.read_bytes() for directory in (self.ssl, self.client, self.elsewhere)
                for path in directory.rglob("*") if path.is_file()}

    def hand_over(self, daemon):
        before = self.files()
        daemon.start()
        wait_until(lambda: daemon.status()["health"] == 1, "what is foreign is named")
        self.assertEqual(self.files(), before, "nothing is touched before it is adopted")
        done = daemon.ctl("adopt", "server", "app", "--yes", check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def old_keys(self, daemon):
        """Where the signer has the key of the tutorial's CA, in whichever form."""
        wanted = run("openssl", "pkey", "-in", self.old / "ca-key.pem", "-pubout").stdout
        return [path for path in (daemon.state / "signer").rglob("*.key") if run(
            "openssl", "pkey", "-in", path, "-pubout", check=False).stdout == wanted]

    def is_moved(self, daemon):
        status = daemon.status()
        return status["health"] == 0 and all(
            run("openssl", "x509", "-in", file, "-noout", "-issuer").stdout.strip().endswith(
                self.newest(status)) for file in (self.ssl / "server-cert.pem",
                                                  self.client / "postgresql.crt"))

    @staticmethod
    def newest(status):
        current = [g for g in status["authorities"]["main"]["generations"]
                   if g["phase"] == "current" and "root G" in g["subject"]]
        return current[-1]["subject"].rpartition("CN=")[2] if current else "none yet"

    def test_with_the_key_of_the_old_ca(self):
        """Nobody elsewhere does anything: they hold the tutorial's files and keep them."""
        policy = self.site()
        policy["authorities"]["main"]["adopt"] = {"certificate": str(self.old / "ca-cert.pem"),
                                                  "key": str(self.old / "ca-key.pem")}
        daemon = self.pgcertd(policy)
        with Load(self.conninfos()) as load:
            self.hand_over(daemon)
            self.assertEqual(history(daemon, "ca-activated"), [])
            self.assertEqual(len(self.old_keys(daemon)), 1, "it signs with it until then")
            wait_until(lambda: history(daemon, "ca-activated"), "pgcertd's own CA signs")
            # Leaves move at their own renewal, which is weeks away.
            daemon.ctl("renew", "--all")
            self.assertTrue(self.is_moved(daemon), daemon.log())
            wait_until(lambda: load.connections > 300, "some more connections")
        self.assertEqual(load.failures, [], daemon.log())
        self.assertEqual(len(certificates(self.ssl / "server-cert.pem")), 2, "leaf and cross")
        self.assertEqual(len(certificates(self.client / "postgresql.crt")), 1)
        self.assertEqual([line["event"] for line in history(daemon)
                          if line["event"].startswith("ca-")][-3:],
                         ["ca-prepared", "ca-announced", "ca-activated"])
        self.assertEqual(self.old_keys(daemon), [], "the old CA's key was wiped")
        self.assertIn("PRIVATE KEY", (self.old / "ca-key.pem").read_text(), "theirs is theirs")

    def test_without_the_key_of_the_old_ca(self):
        """Who is elsewhere copies the trust bundle once in `distribute`, and keeps its
        certificate."""
        policy = self.site()
        policy["authorities"]["main"]["trust"] = [str(self.old / "ca-cert.pem")]
        daemon = self.pgcertd(policy)
        with Load(self.conninfos()) as load:
            before = (self.ssl / "server-cert.pem").read_bytes()
            self.hand_over(daemon)
            with Copies(daemon, [self.elsewhere / "root.crt"], every=DISTRIBUTE):
                wait_until(lambda: len(history(daemon, "ca-announced")) == 1, "both are trusted")
                self.assertEqual((self.ssl / "server-cert.pem").read_bytes(), before,
                                 "the leaf is still the old one")
                self.assertEqual(len(certificates(self.ssl / "ca-cert.pem")), 2)
                wait_until(lambda: self.is_moved(daemon), "the site has moved", 60)
                wait_until(lambda: load.connections > 300, "some more connections")
        self.assertEqual(load.failures, [], daemon.log())
        events = [(line["event"], line.get("certificate")) for line in history(daemon)]
        moved = [name for event, name in events[events.index(("ca-activated", None)):]
                 if event == "published"]
        self.assertEqual(moved, ["server", "app"], "servers first")

    def test_the_old_ca_goes_with_its_line(self):
        # The tutorial's own client certificate, which PostgreSQL refuses, is no obstacle.
        policy = self.site("extendedKeyUsage = serverAuth\n")
        policy["authorities"]["main"]["trust"] = [str(self.old / "ca-cert.pem")]
        daemon = self.pgcertd(policy)
        self.hand_over(daemon)
        wait_until(lambda: self.is_moved(daemon), "the site has moved", 60)
        del policy["authorities"]["main"]["trust"]
        daemon.write(policy)
        daemon.ctl("reload")
        daemon.ctl("check", check=False)
        self.assertEqual(len(certificates_of(daemon.ctl("bundle", "main").stdout)), 1)
        daemon.ctl("renew", "--all")
        self.assertEqual(len(certificates(self.ssl / "ca-cert.pem")), 1)
        self.assertProven(daemon)


def certificates_of(text):
    return text.split("-----END CERTIFICATE-----\n")[:-1]


if __name__ == "__main__":
    harness.main()
