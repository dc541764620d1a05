"""From ssl = off to a proven certificate in one `pgcertd --once`, and nothing on the second."""

import os
import pathlib
import stat

import harness
from harness import ME, Scene, each_major, run


def snapshot(*places):
    """Every file and link below the places, with what would change if somebody touched it."""
    found = {}
    for place in places:
        for path in [pathlib.Path(place), *sorted(pathlib.Path(place).rglob("*"))]:
            if path.name == "lock":  # who holds it is written into it
                continue
            about = os.lstat(path)
            found[str(path)] = (stat.S_IMODE(about.st_mode), about.st_ino, about.st_mtime_ns
                                if not path.is_dir() else 0)
    return found


class FirstIssue(Scene):
    def begin(self):
        cluster = self.postgres()
        daemon = self.pgcertd(self.basic_policy(cluster))
        return cluster, daemon, pathlib.Path(daemon.policy["certificates"]["server"]["directory"])

    @each_major
    def test_turns_tls_on_without_a_restart(self):
        cluster, daemon, directory = self.begin()
        self.assertEqual(cluster.sql("show ssl"), "off")
        pid = cluster.process.pid
        daemon.once()
        self.assertEqual(cluster.sql("show ssl"), "on")
        self.assertEqual((cluster.data / "postmaster.pid").read_text().split("\n")[0], str(pid))
        self.assertIsNone(cluster.process.poll())
        self.assertEqual(cluster.reloads(), 1)
        self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])
        row = cluster.psql(self.conninfo(daemon), "select ssl, client_dn, current_user from "
                           "pg_stat_ssl where pid = pg_backend_pid()").stdout.strip()
        self.assertEqual(row, "t|/CN=app|app")
        for host in ("127.0.0.1", "localhost"):
            cluster.psql(self.conninfo(daemon, host=host))
        done = cluster.psql(self.conninfo(daemon, host="db.example.com"), check=False)
        self.assertIn("does not match host name", done.stderr)
        done = cluster.psql(self.conninfo(daemon, sslmode="disable"), check=False)
        self.assertIn("pg_hba.conf rejects", done.stderr)
        done = cluster.psql(self.conninfo(daemon, role="app").replace("user=app", f"user={ME}"),
                            check=False)
        self.assertNotEqual(done.returncode, 0, "another role must not get in with app's certificate")

        # And what is on disk would load at a restart.
        leaf = harness.served(cluster.port)
        cluster.restart()
        self.assertEqual(harness.served(cluster.port), leaf)
        cluster.psql(self.conninfo(daemon))

    def test_leaves_files_that_openssl_accepts(self):
        cluster, daemon, directory = self.begin()
        daemon.once()
        client = pathlib.Path(daemon.policy["certificates"]["app"]["directory"])
        run("openssl", "verify", "-x509_strict", "-no-CAfile", "-no-CApath", "-CAfile",
            directory / "ca-cert.pem", "-purpose", "sslserver", "-verify_hostname", "localhost",
            directory / "server-cert.pem")
        run("openssl", "verify", "-x509_strict", "-CAfile", directory / "ca-cert.pem", "-purpose",
            "sslserver", "-verify_ip", "127.0.0.1", directory / "server-cert.pem")
        run("openssl", "verify", "-x509_strict", "-CAfile", client / "root.crt", "-purpose",
            "sslclient", client / "postgresql.crt")
        wrong = run("openssl", "verify", "-CAfile", client / "root.crt", "-purpose", "sslserver",
                    client / "postgresql.crt", check=False)
        self.assertNotEqual(wrong.returncode, 0, "a client's certificate is no server's")
        text = run("openssl", "x509", "-in", directory / "ca-cert.pem", "-noout", "-text").stdout
        self.assertRegex(text, r"Subject: C = CN, ST = GD, O = Bytebase, CN = root G1 [0-9a-f]{8}\n")
        self.assertRegex(text, r"Basic Constraints: critical\s+CA:TRUE")
        self.assertRegex(text, r"Key Usage: critical")
        leaf = run("openssl", "x509", "-in", directory / "server-cert.pem", "-noout", "-text").stdout
        self.assertIn("DNS:localhost, IP Address:127.0.0.1", leaf)
        self.assertIn("TLS Web Server Authentication\n", leaf)
        self.assertNotIn("TLS Web Client Authentication", leaf)
        serial = int(harness.pem_facts(directory / "server-cert.pem")["serial"], 16)
        self.assertLess(serial, 1 << 63)
        self.assertGreater(serial, 1 << 32)
        key = (directory / "server-key.pem").read_text()
        self.assertTrue(key.startswith("-----BEGIN PRIVATE KEY-----"), "PKCS#8")

    def test_leaves_modes_that_postgresql_and_others_need(self):
        cluster, daemon, directory = self.begin()
        daemon.once()
        client = pathlib.Path(daemon.policy["certificates"]["app"]["directory"])
        for key in (directory / "server-key.pem", client / "postgresql.key"):
            about = os.stat(key)
            self.assertEqual((stat.S_IMODE(about.st_mode), about.st_uid), (0o600, os.getuid()), key)
        for file in (directory / "server-cert.pem", directory / "ca-cert.pem"):
            self.assertEqual(stat.S_IMODE(os.stat(file).st_mode) & 0o022, 0, file)
        for name in ("server-cert.pem", "server-key.pem", "ca-cert.pem"):
            self.assertEqual(os.readlink(directory / name), f"current/{name}")
        self.assertRegex(os.readlink(directory / "current"), r"^generation-\d+$")
        signer = daemon.state / "signer"
        self.assertEqual(stat.S_IMODE(os.stat(signer).st_mode), 0o700)
        for path in daemon.state.rglob("*"):
            if path.is_file() and "PRIVATE KEY" in path.read_text(errors="replace"):
                self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600, path)
                self.assertIn(signer, path.parents, "a CA key outside of the signer's directory")
        configuration = cluster.configuration.read_text()
        self.assertTrue(configuration.startswith("# made by pgcertd\n"), configuration)
        self.assertIn(f"ssl_key_file = '{directory}/server-key.pem'\n", configuration)

    def test_changes_nothing_on_the_second_run(self):
        cluster, daemon, directory = self.begin()
        daemon.once()
        client = daemon.policy["certificates"]["app"]["directory"]
        before = snapshot(directory, client, cluster.configuration, daemon.state / "signer")
        served, reloads = harness.served(cluster.port), cluster.reloads()
        daemon.once()
        self.assertEqual(snapshot(directory, client, cluster.configuration,
                                  daemon.state / "signer"), before)
        self.assertEqual((harness.served(cluster.port), cluster.reloads()), (served, reloads))

    def test_plan_tells_the_steps_and_does_none(self):
        cluster, daemon, directory = self.begin()
        done = daemon.run("--plan")
        self.assertIn("server", done.stdout)
        self.assertIn("app", done.stdout)
        self.assertFalse(directory.exists(), "--plan made a directory")
        self.assertFalse(cluster.configuration.exists())
        self.assertEqual(cluster.reloads(), 0)
        self.assertFalse((daemon.state / "signer").exists() and
                         any(f.suffix in (".pem", ".key", ".crt")
                             for f in (daemon.state / "signer").rglob("*")))
        daemon.once()
        before = snapshot(directory)
        after = daemon.run("--plan")
        self.assertNotEqual(after.stdout, done.stdout)
        self.assertEqual(snapshot(directory), before)

    def test_a_foreign_file_is_left_alone(self):
        cluster, daemon, directory = self.begin()
        directory.mkdir()
        (directory / "server-cert.pem").write_text("mine\n")
        daemon.once(expect=1)
        self.assertEqual((directory / "server-cert.pem").read_text(), "mine\n")
        self.assertFalse((directory / "server-key.pem").exists())
        self.assertFalse(cluster.configuration.exists())
        self.assertEqual(cluster.reloads(), 0)

    def test_issues_while_postgresql_is_down(self):
        """The files are for the next start; nothing is owed to a server that does not run."""
        cluster, daemon, directory = self.begin()
        cluster.stop()
        done = daemon.run("--once", check=False)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        self.assertTrue((directory / "server-cert.pem").exists())
        cluster.start()
        self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])
        daemon.once()


if __name__ == "__main__":
    harness.main()
