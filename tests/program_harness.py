"""The harness itself: a wrong test bench would let everything pass."""

import os
import shutil
import stat

import harness
from harness import Scene, each_major, run


class Harness(Scene):
    @each_major
    def test_sees_a_cluster_without_tls(self):
        cluster = self.postgres()
        self.assertEqual(cluster.sql("show ssl"), "off")
        self.assertIsNone(harness.served(cluster.port))
        done = cluster.psql("host=127.0.0.1 user=app dbname=postgres sslmode=disable", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("pg_hba.conf rejects", done.stderr)

    def test_sees_what_is_served_and_a_failing_load(self):
        cluster = self.postgres()
        crt, key = cluster.directory / "server.crt", cluster.directory / "server.key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", crt, "-days", "2",
            "-addext", "subjectAltName=DNS:localhost")
        os.chmod(key, stat.S_IRUSR | stat.S_IWUSR)
        cluster.configuration.write_text(f"ssl = on\nssl_cert_file = '{crt}'\n"
                                         f"ssl_key_file = '{key}'\n")
        before = cluster.reloads()
        cluster.sql("select pg_reload_conf()")
        wanted = harness.pem_facts(crt)["sha256"]
        harness.wait_until(lambda: harness.served(cluster.port) == wanted, "the leaf is served")
        self.assertEqual(cluster.reloads(), before + 1)
        self.assertIn("BEGIN CERTIFICATE", harness.openssl_served(cluster.port))
        ssl_line = f"host=localhost hostaddr=127.0.0.1 port={cluster.port} user=app " \
            f"dbname=postgres sslmode=verify-full sslrootcert={crt}"
        with harness.Load([ssl_line]) as load:
            harness.wait_until(lambda: load.connections >= 20, "twenty tries")
        self.assertEqual(len(load.failures), load.connections)
        (cluster.data / "pg_hba.conf").write_text("local all all trust\nhostssl all all all trust\n")
        cluster.restart()
        with harness.Load([ssl_line]) as load:
            harness.wait_until(lambda: load.connections >= 20, "twenty tries")
        self.assertEqual(load.failures, [])

    def test_reads_its_own_policies(self):
        if not shutil.which("openssl"):
            self.skipTest("no openssl")
        text = harness.yaml_text({"version": 1, "a": {"b": ["x", "y"], "c": "1s"}})
        self.assertEqual(text, 'version: 1\na:\n  b: ["x", "y"]\n  c: "1s"\n')


if __name__ == "__main__":
    harness.main()
