"""Readers are moved from the tutorial's CA to pgcertd's without a failed connection."""

import pathlib
import shutil
import subprocess

import harness
from harness import Load, Scene, wait_until

ROOT = "/C=CN/ST=GD/O=Bytebase/CN=root"


class Moving(Scene):
    def make_ca(self):
        """RSA, a hundred years, no keyUsage; leaves that do not tell their issuer's key."""
        self.run_in("openssl", "req", "-x509", "-new", "-nodes", "-newkey", "rsa:2048", "-keyout",
                    "ca-key.pem", "-out", "ca-cert.pem", "-days", "36500", "-subj", ROOT)

    def run_in(self, *command):
        subprocess.run(command, cwd=self.site, check=True, capture_output=True)

    def make_leaf(self, name, common_name, names=""):
        (self.site / "extensions").write_text(f"subjectAltName={names}\n" if names else "")
        self.run_in("openssl", "req", "-new", "-nodes", "-newkey", "rsa:2048", "-keyout",
                    f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={common_name}")
        self.run_in("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca-cert.pem",
                    "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "365", "-out",
                    f"{name}.crt", *(("-extfile", "extensions") if names else ()))

    def put(self, directory, leaf, certificate, key, trust):
        directory = pathlib.Path(directory)
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        for source, target in ((f"{leaf}.crt", certificate), (f"{leaf}.key", key),
                               ("ca-cert.pem", trust)):
            shutil.copy(self.site / source, directory / target)
            (directory / target).chmod(0o600 if target == key else 0o644)

    def set_up(self, **how):
        self.site = self.path("site")
        self.site.mkdir()
        self.make_ca()
        self.make_leaf("server", "localhost", "DNS:localhost,IP:127.0.0.1")
        self.make_leaf("app", "app")
        cluster = self.postgres()
        policy = self.basic_policy(cluster, "40s", "25s", backdate="1s")
        policy["check_every"] = "1s"
        policy["authorities"]["main"].update(
            {"lifetime": "200s", "distribute": "4s"},
            **{key: value(self.site) for key, value in how.items()})
        server, app = (policy["certificates"][name] for name in ("server", "app"))
        self.put(server["directory"], "server", *(server["files"][key] for key in
                                                  ("certificate", "key", "trust")))
        self.put(app["directory"], "app", "postgresql.crt", "postgresql.key", "root.crt")
        policy["clusters"]["main"].pop("configuration", None)
        with open(cluster.data / "postgresql.conf", "a") as file:
            file.write("ssl = on\n" + "".join(
                f"ssl_{key}_file = '{server['directory']}/{server['files'][name]}'\n" for key, name in
                (("cert", "certificate"), ("key", "key"), ("ca", "trust"))))
        cluster.reload()
        self.old = self.path("old")
        self.put(self.old, "app", "postgresql.crt", "postgresql.key", "root.crt")
        places = server["directory"], app["directory"]
        before = self.files(*places)
        daemon = self.pgcertd(policy).start()
        wait_until(lambda: daemon.status()["health"] == 1, "what is foreign is named")
        self.assertEqual(self.files(*places), before, "nothing is touched before it is adopted")
        return cluster, daemon

    @staticmethod
    def files(*directories):
        return {path: path.read_bytes() for directory in directories
                for path in pathlib.Path(directory).rglob("*") if path.is_file()}

    def old_reader(self, daemon):
        """On another machine, with the tutorial's files."""
        return self.conninfo(daemon).replace(
            str(daemon.policy["certificates"]["app"]["directory"]), str(self.old))

    def adopt(self, daemon):
        for name in "server", "app":
            daemon.ctl("adopt", name, "--yes", "--no-wait")

    def phases(self, daemon):
        return {generation["phase"]: generation["subject"] for generation in
                daemon.status()["authorities"]["main"]["generations"]}

    def loads(self, cluster, conninfos):
        return Load([f"{conninfo} port={cluster.port}" for conninfo in conninfos], threads=2)

    def test_with_its_key_nobody_is_left_behind(self):
        cluster, daemon = self.set_up(adopt=lambda site: {
            "certificate": str(site / "ca-cert.pem"), "key": str(site / "ca-key.pem")})
        readers = [self.conninfo(daemon), self.old_reader(daemon)]
        cluster.psql(readers[1])
        with self.loads(cluster, readers) as load:
            self.adopt(daemon)
            wait_until(lambda: "G2" in self.phases(daemon).get("current", ""), "it is followed", 30)
            wait_until(lambda: " G2 " in self.leaf_issuer(daemon, "server") and
                       " G2 " in self.leaf_issuer(daemon, "app"), "leaves have moved", 40)
            wait_until(lambda: daemon.status()["health"] == 0, "all is well", 15)
        self.assertEqual(load.failures, [])
        self.assertGreater(load.connections, 50)

    def test_without_its_key_a_copy_of_the_bundle_is_enough(self):
        cluster, daemon = self.set_up(trust=lambda site: [str(site / "ca-cert.pem")])
        readers = [self.conninfo(daemon), self.old_reader(daemon)]
        cluster.psql(readers[1])
        with self.loads(cluster, readers) as load:
            self.adopt(daemon)
            wait_until(lambda: daemon.status()["authorities"]["main"]["generations"], "made", 15)
            text = daemon.ctl("bundle", "main").stdout
            (self.old / "new").write_text(text)
            (self.old / "new").rename(self.old / "root.crt")
            wait_until(lambda: " G1 " in self.leaf_issuer(daemon, "server") and
                       " G1 " in self.leaf_issuer(daemon, "app"), "leaves have moved", 40)
            wait_until(lambda: daemon.status()["health"] == 0, "all is well", 15)
        self.assertEqual(load.failures, [])
        self.assertGreater(load.connections, 50)

    def leaf_issuer(self, daemon, name):
        certificate = daemon.policy["certificates"][name]
        file = certificate.get("files", {}).get("certificate", "postgresql.crt")
        return subprocess.run(["openssl", "x509", "-noout", "-issuer", "-in",
                               f"{certificate['directory']}/{file}"], check=True,
                              capture_output=True, text=True).stdout


if __name__ == "__main__":
    harness.main()
