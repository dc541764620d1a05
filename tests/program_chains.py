"""Which trust bundle verifies which chain, in both directions, by everybody who may be asked.

A rollover has three bundles (the old CA alone, both, the new one alone) and three chains (a leaf of
the old CA; one of the new with the cross-certificate; the same alone, as it is once the old CA was
retired). The tables say which must work. What must not is as important: it shows that a rollover
needs its steps.
"""

import pathlib
import re
import ssl
import shutil
import subprocess
import warnings

import harness
import program_drivers as drivers
from harness import Scene, run, wait_until

BUNDLES = "old", "both", "new"
# (bundle of the client, chain of the server)
SERVER = {("old", "old"): True, ("old", "cross"): True, ("old", "alone"): False,
          ("both", "old"): True, ("both", "cross"): True, ("both", "alone"): True,
          ("new", "old"): False, ("new", "cross"): True, ("new", "alone"): True}
# (bundle of the server, chain of the client). pgcertd never gives a client the cross-certificate,
# for pgjdbc then has trouble with servers that know the new CA alone; others would not mind.
CLIENT = {("old", "old"): True, ("old", "cross"): True, ("old", "alone"): False,
          ("both", "old"): True, ("both", "cross"): True, ("both", "alone"): True,
          ("new", "old"): False, ("new", "cross"): True, ("new", "alone"): True}

# node's own TLS, without a driver: PostgreSQL's SSLRequest, the handshake, a startup packet, and
# what the server says to that ('R': an authentication request, here that there is nothing to ask).
NODE = r"""
const fs = require('fs'), net = require('net'), tls = require('tls');
const [port, directory] = process.argv.slice(1);
const read = (name) => fs.readFileSync(`${directory}/${name}`);
const end = (line) => { console.log(line); process.exit(0); };
const raw = net.connect(Number(port), '127.0.0.1', () => {
        raw.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
        raw.once('data', () => {
                const socket = tls.connect({ socket: raw, servername: 'localhost',
                        ca: read('root.crt'), cert: read('postgresql.crt'),
                        key: read('postgresql.key') }, () => {
                        const text = Buffer.from('user\0app\0database\0postgres\0\0');
                        const head = Buffer.alloc(8);
                        head.writeInt32BE(8 + text.length, 0);
                        head.writeInt32BE(196608, 4);
                        socket.write(Buffer.concat([head, text]));
                        socket.once('data', (data) => end(data[0] == 82 ? 'ok' : 'failed login'));
                });
                socket.on('error', (error) => end(`failed ${error.code}`));
                socket.on('close', () => end('failed closed'));
        });
});
raw.on('error', (error) => end(`failed ${error.code}`));
"""


def certificates(path):
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n",
                      pathlib.Path(path).read_text(), re.S)


class Judge:
    """Logs in with what lies in a directory under libpq's names; true where it worked."""

    def __init__(self, scene, cluster):
        self.scene, self.cluster = scene, cluster

    def psql(self, directory):
        done = self.cluster.psql(
            f"host=localhost hostaddr=127.0.0.1 dbname=postgres user=app sslmode=verify-full "
            f"gssencmode=disable sslcert={directory}/postgresql.crt "
            f"sslkey={directory}/postgresql.key sslrootcert={directory}/root.crt", check=False)
        return done.returncode == 0

    def openssl(self, directory):
        # Before TLS 1.3, so that the server's verdict on the client comes with the handshake.
        done = run("openssl", "s_client", "-starttls", "postgres", "-connect",
                   f"127.0.0.1:{self.cluster.port}", "-tls1_2", "-verify_return_error",
                   "-verify_hostname", "localhost", "-CAfile", directory / "root.crt",
                   "-cert", directory / "postgresql.crt", "-key", directory / "postgresql.key",
                   "-cert_chain", directory / "postgresql.crt", check=False)
        return done.returncode == 0

    def python(self, directory, kind):
        driver = kind.__new__(kind)
        driver.directory, driver.port = str(directory), self.cluster.port
        ssl.wrap_socket = lambda raw: driver.context().wrap_socket(raw, server_hostname="localhost")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                driver.login()
            except Exception:  # whatever a driver raises
                return False
        return True

    def node(self, directory):
        done = run("node", "-e", NODE, self.cluster.port, directory)
        self.scene.assertIn(done.stdout.split(" ")[0].strip(), ("ok", "failed"), done.stderr)
        return done.stdout == "ok\n"

    def pgjdbc(self, directory):
        store = directory / "app.p12"
        run("openssl", "pkcs12", "-export", "-in", directory / "postgresql.crt", "-inkey",
            directory / "postgresql.key", "-name", "user", "-passout", "pass:secret", "-out", store)
        # It logs in until its input is ended, and says each time how that went.
        with subprocess.Popen(["java", "-cp", f"{drivers.JDBC}:{self.scene.java()}", "Logins",
                               str(self.cluster.port), str(directory), str(store)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            line = program.stdout.readline()
            program.communicate("end\n")
        self.scene.assertIn(line.split(" ")[0].strip(), ("ok", "failed"), line)
        return line == "ok\n"

    def all(self):
        """The judges that are here, by name."""
        found = {"psql": self.psql, "openssl": self.openssl}
        for kind in drivers.Asyncpg, drivers.Pg8000:
            if not kind.missing():
                found[kind.__name__] = lambda directory, kind=kind: self.python(directory, kind)
        if shutil.which("node"):
            found["node"] = self.node
        if not drivers.Pgjdbc.missing():
            found["pgjdbc"] = self.pgjdbc
        return found


class Chains(Scene):
    def java(self):
        classes = self.directory / "java"
        if not classes.exists():
            classes.mkdir()
            (classes / "Logins.java").write_text(drivers.JAVA)
            run("javac", "-d", classes, classes / "Logins.java")
        return classes

    def roll_over(self):
        """One rollover by pgcertd itself, and what it had published on the way."""
        cluster = self.postgres("mine")
        policy = self.basic_policy(cluster)
        policy["authorities"]["main"]["distribute"] = "0s"
        daemon = self.pgcertd(policy)
        daemon.start()
        wait_until(lambda: daemon.status()["health"] == 0, "all is proven")
        place = {name: pathlib.Path(policy["certificates"][name]["directory"])
                 for name in ("server", "app")}
        files = {"server": place["server"] / "server-cert.pem",
                 "client": place["app"] / "postgresql.crt"}
        self.bundles = {"old": certificates(place["app"] / "root.crt")}
        self.chains = {use: {"old": certificates(file)} for use, file in files.items()}
        daemon.ctl("rotate", "main")
        wait_until(lambda: [g["phase"] for g in daemon.status()["authorities"]["main"]
                            ["generations"]] == ["retiring", "current"], "the new CA signs")
        daemon.ctl("renew", "--all")
        self.assertProven(daemon)
        self.bundles["both"] = certificates(place["app"] / "root.crt")
        self.assertEqual(daemon.ctl("bundle", "main").stdout, "".join(self.bundles["both"]))
        self.bundles["new"] = [c for c in self.bundles["both"] if c not in self.bundles["old"]]
        chain, alone = certificates(files["server"]), certificates(files["client"])
        self.assertEqual(len(chain), 2, "a server's leaf and the cross-certificate")
        self.assertEqual(len(alone), 1, "a client's leaf alone")
        self.assertEqual([len(self.bundles[b]) for b in BUNDLES], [1, 2, 1])
        self.chains["server"].update(cross=chain, alone=chain[:1])
        self.chains["client"].update(cross=alone + chain[1:], alone=alone)
        self.keys = {"server": place["server"] / "server-key.pem",
                     "client": place["app"] / "postgresql.key"}
        daemon.stop()

    def serve(self, cluster, chain, bundle):
        (self.served / "chain").write_text("".join(chain))
        (self.served / "bundle").write_text("".join(bundle))
        cluster.restart()

    def client(self, name, chain, bundle):
        directory = self.directory / name
        directory.mkdir()
        (directory / "postgresql.crt").write_text("".join(chain))
        (directory / "postgresql.key").write_text(self.keys["client"].read_text())
        (directory / "postgresql.key").chmod(0o600)
        (directory / "root.crt").write_text("".join(bundle))
        return directory

    def expect(self, judges, directory, works, cell, skip=()):
        for name, judge in judges.items():
            if name not in skip:
                with self.subTest(cell=cell, judge=name):
                    self.assertEqual(judge(directory), works)

    def test_every_cell(self):
        self.roll_over()
        self.served = self.directory / "served"
        self.served.mkdir()
        (self.served / "key").write_text(self.keys["server"].read_text())
        (self.served / "key").chmod(0o600)
        (self.served / "chain").write_text("".join(self.chains["server"]["old"]))
        (self.served / "bundle").write_text("".join(self.bundles["both"]))
        cluster = self.postgres("other", settings=(
            f"ssl = on\nssl_cert_file = '{self.served}/chain'\n"
            f"ssl_key_file = '{self.served}/key'\nssl_ca_file = '{self.served}/bundle'\n"))
        judges = Judge(self, cluster).all()
        print("judges:", ", ".join(judges))
        for chain in "old", "cross", "alone":
            self.serve(cluster, self.chains["server"][chain], self.bundles["both"])
            for bundle in BUNDLES:
                cell = f"server-{bundle}-{chain}"
                directory = self.client(cell, self.chains["client"]["old"], self.bundles[bundle])
                self.expect(judges, directory, SERVER[bundle, chain], cell)
                self.verify(directory / "root.crt", self.chains["server"][chain], cell,
                            SERVER[bundle, chain])
        for bundle in BUNDLES:
            self.serve(cluster, self.chains["server"]["cross"], self.bundles[bundle])
            for chain in "old", "cross", "alone":
                cell = f"client-{bundle}-{chain}"
                directory = self.client(cell, self.chains["client"][chain], self.bundles["both"])
                self.expect(judges, directory, CLIENT[bundle, chain], cell,
                            ("pgjdbc",) if chain == "cross" else ())
                self.verify(self.served / "bundle", self.chains["client"][chain], cell,
                            CLIENT[bundle, chain])

    def verify(self, bundle, chain, cell, works):
        """openssl verify, strictly, without any trust store of the system."""
        leaf = self.directory / f"{cell}.leaf"
        leaf.write_text(chain[0])
        rest = self.directory / f"{cell}.rest"
        rest.write_text("".join(chain[1:]))
        more = ["-untrusted", rest] if chain[1:] else []
        done = run("openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile",
                   bundle, *more, leaf, check=False)
        with self.subTest(cell=cell, judge="openssl verify"):
            self.assertEqual(done.returncode == 0, works, done.stderr)


if __name__ == "__main__":
    harness.main()
