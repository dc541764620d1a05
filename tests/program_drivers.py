"""Outside judges: drivers other than libpq log in with certificates all the time, and never fail.

asyncpg, pg8000 and node-postgres (and pgjdbc with PGCERTD_TEST_WHOLE=1) connect with host name
verification and a client certificate, read from the fixed names at each connection, before, while
and after server and client are renewed and given new keys. A driver that is not installed is left
out, and counted as skipped.
"""

import asyncio
import glob
import importlib.util
import os
import pathlib
import shutil
import ssl
import subprocess
import threading
import time
import unittest
import warnings

import harness
from harness import Scene, run, wait_until

CONNECTIONS = 120  # of each driver, at least
RENEWALS = 5
PAUSE = 0.005
LIMIT = 200.0
JDBC = "/usr/share/java/postgresql.jar"

NODE = r"""
const fs = require('fs'), { Client } = require('pg');
const [port, directory] = process.argv.slice(1);
let done = false, connections = 0;
process.stdin.on('end', () => { done = true; }).resume();
async function login() {
        const read = (name) => fs.readFileSync(`${directory}/${name}`);
        const client = new Client({ host: 'localhost', port: Number(port), user: 'app',
                database: 'postgres', ssl: { ca: read('root.crt'), cert: read('postgresql.crt'),
                key: read('postgresql.key'), servername: 'localhost', rejectUnauthorized: true } });
        client.on('error', () => {});
        await client.connect();
        await client.query('select 1');
        await client.end();
}
(async () => {
        while (!done) {
                try {
                        await login();
                        console.log('ok');
                } catch (error) {
                        console.log(`failed ${error}`);
                }
                await new Promise((wake) => setTimeout(wake, 5));
        }
})();
"""

JAVA = r"""
import java.sql.*;
import java.util.Properties;

public class Logins {
        static boolean ended() throws java.io.IOException {
                return System.in.available() > 0;
        }
        public static void main(String[] arguments) throws Exception {
                Properties settings = new Properties();
                settings.setProperty("user", "app");
                settings.setProperty("sslmode", "verify-full");
                settings.setProperty("sslrootcert", arguments[1] + "/root.crt");
                settings.setProperty("sslkey", arguments[2]);
                settings.setProperty("sslpassword", "secret");
                String url = "jdbc:postgresql://localhost:" + arguments[0] + "/postgres";
                while (!ended()) {
                        try (Connection connection = DriverManager.getConnection(url, settings);
                             Statement statement = connection.createStatement()) {
                                statement.executeQuery("select 1");
                                System.out.println("ok");
                        } catch (SQLException error) {
                                System.out.println("failed " + error + " " + error.getCause());
                        }
                        Thread.sleep(5);
                }
        }
}
"""


class Logins:
    """What one driver does all the time, in a thread of its own."""

    def __init__(self, scene, daemon, port):
        self.scene, self.daemon, self.port = scene, daemon, port
        self.directory = daemon.policy["certificates"]["app"]["directory"]
        self.connections, self.failures = 0, []
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.end.set()
        self.thread.join(30)

    def work(self):
        while not self.end.is_set():
            try:
                self.login()
                self.connections += 1
            except Exception as error:  # whatever a driver raises is a failed connection
                self.failures.append(f"{time.strftime('%T')} {error!r}")
            self.end.wait(PAUSE)

    def context(self):
        """Verifies chain and host name, and shows the client's certificate; files read anew."""
        context = ssl.create_default_context(cafile=f"{self.directory}/root.crt")
        context.load_cert_chain(f"{self.directory}/postgresql.crt",
                                f"{self.directory}/postgresql.key")
        return context


class Asyncpg(Logins):
    @staticmethod
    def missing():
        return None if importlib.util.find_spec("asyncpg") else "python3-asyncpg"

    async def query(self):
        import asyncpg
        connection = await asyncpg.connect(host="localhost", port=self.port, user="app",
                                           database="postgres", ssl=self.context(), timeout=10)
        await connection.fetchval("select 1")
        await connection.close()

    def login(self):
        asyncio.run(self.query())


class Pg8000(Logins):
    @staticmethod
    def missing():
        return None if importlib.util.find_spec("pg8000") else "python3-pg8000"

    def login(self):
        import pg8000
        place = {"user": "app", "host": "localhost", "port": self.port, "database": "postgres"}
        if hasattr(ssl, "wrap_socket") and pg8000.__version__ < "1.16":
            # This old one knows no contexts, but asks the module: see work().
            connection = pg8000.connect(**place, ssl=True)
        else:
            connection = pg8000.connect(**place, ssl_context=self.context())
        try:
            cursor = connection.cursor()
            cursor.execute("select 1")
        finally:
            connection.close()

    def work(self):
        # pg8000 1.10, Debian 12's, calls ssl.wrap_socket(socket): answered with our context.
        ssl.wrap_socket = lambda raw: self.context().wrap_socket(raw, server_hostname="localhost")
        warnings.filterwarnings("ignore", module="pg8000")
        super().work()


class Outside(Logins):
    """A driver in a program of its own: a line for each login, until its input is ended."""

    def work(self):
        program = subprocess.Popen(self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True, env={**os.environ, **self.environment()})
        threading.Thread(target=lambda: (self.end.wait(), self.finish(program)),
                         daemon=True).start()
        with program.stdout:
            for line in program.stdout:
                if line == "ok\n":
                    self.connections += 1
                else:
                    self.failures.append(f"{time.strftime('%T')} {line.strip()}")
        if program.wait(10) or not self.end.is_set():
            self.failures.append(f"{program.args[0]} ended with {program.returncode}")

    @staticmethod
    def finish(program):
        program.stdin.write("end\n")
        program.stdin.close()

    @staticmethod
    def environment():
        return {}


class NodePostgres(Outside):
    @classmethod
    def missing(cls):
        found = shutil.which("node") and run("node", "-e", "require('pg')", check=False, env={
            **os.environ, **cls.environment()}).returncode == 0
        return None if found else "node-pg"

    @staticmethod
    def environment():
        places = [*glob.glob("/usr/lib/*/nodejs"), "/usr/share/nodejs", "/usr/lib/nodejs"]
        return {"NODE_PATH": ":".join([os.environ.get("NODE_PATH", ""), *places])}

    def command(self):
        return ["node", "-e", NODE, str(self.port), self.directory]


class Pgjdbc(Outside):
    """Java wants PKCS#12: converted whenever the certificate is another, as a user would do it.
    One file is never torn, and what it holds stays valid for longer than the conversion takes."""

    @staticmethod
    def missing():
        found = shutil.which("javac") and os.path.exists(JDBC)
        return None if found else "libpostgresql-jdbc-java and a JDK"

    def command(self):
        self.classes = self.scene.path("java")
        self.classes.mkdir()
        (self.classes / "Logins.java").write_text(JAVA)
        run("javac", "-d", self.classes, self.classes / "Logins.java")
        self.store = self.classes / "app.p12"
        self.seen = None
        self.convert()
        threading.Thread(target=self.follow, daemon=True).start()
        return ["java", "-cp", f"{JDBC}:{self.classes}", "Logins", str(self.port), self.directory,
                str(self.store)]

    def follow(self):
        while not self.end.wait(0.05):
            self.convert()

    def convert(self):
        certificate = pathlib.Path(self.directory, "postgresql.crt").read_bytes()
        if certificate == self.seen:
            return
        new = self.store.with_suffix(".new")
        done = run("openssl", "pkcs12", "-export", "-name", "user", "-passout", "pass:secret",
                   "-in", f"{self.directory}/postgresql.crt", "-inkey",
                   f"{self.directory}/postgresql.key", "-out", new, check=self.seen is None)
        if done.returncode == 0:  # otherwise it met a rekey in between: once more
            new.rename(self.store)
            self.seen = certificate


KINDS = [Asyncpg, Pg8000, NodePostgres]
if os.environ.get("PGCERTD_TEST_WHOLE"):
    KINDS.append(Pgjdbc)


class Drivers(Scene):
    def start(self, lifetime="12s", renew_before="9s"):
        self.cluster = self.postgres()
        self.daemon = self.pgcertd(self.short_policy(self.cluster, lifetime, renew_before)).start()
        wait_until(lambda: self.daemon.status().get("health") == 0, "all is proven")
        self.missing = [kind.missing() for kind in KINDS if kind.missing()]
        self.logins = [kind(self, self.daemon, self.cluster.port).start() for kind in KINDS
                       if not kind.missing()]
        for logins in self.logins:
            self.addCleanup(logins.end.set)
        if not self.logins:
            raise unittest.SkipTest(f"none of {', '.join(self.missing)} is installed")

    def wait_connections(self, more):
        """Until each driver has made that many more connections, or one has failed."""
        goals = [(logins, logins.connections + more) for logins in self.logins]
        wait_until(lambda: any(logins.failures for logins in self.logins) or
                   all(logins.connections >= goal for logins, goal in goals),
                   f"{more} connections of each driver", LIMIT)

    def finish(self, what):
        for logins in self.logins:
            logins.stop()
        names = [f"{type(logins).__name__} {logins.connections}" for logins in self.logins]
        print(f"{what}: {', '.join(names)} connections; left out: {self.missing or 'none'}")
        failures = {type(logins).__name__: logins.failures[:5] for logins in self.logins
                    if logins.failures}
        self.assertEqual(failures, {})
        for logins in self.logins:
            self.assertGreaterEqual(logins.connections, CONNECTIONS, type(logins).__name__)

    def test_no_driver_fails_across_renewals(self):
        self.start()
        served, clients = [], []

        def enough():
            for seen, leaf in ((served, harness.served(self.cluster.port)),
                               (clients, self.daemon.generation("app"))):
                if leaf and leaf not in seen:
                    seen.append(leaf)
            return any(logins.failures for logins in self.logins) or (
                min(len(served), len(clients)) > RENEWALS)
        wait_until(enough, f"{RENEWALS} renewals", LIMIT)
        self.wait_connections(CONNECTIONS)
        self.finish(f"{len(served) - 1} server and {len(clients) - 1} client renewals")

    def test_no_driver_fails_across_new_keys(self):
        self.start("1h", "20min")
        self.wait_connections(CONNECTIONS // 2)
        for name in ("server", "app"):
            before = self.disk(self.daemon, name)
            self.daemon.ctl("renew", "--rekey", name)
            self.assertNotEqual(self.disk(self.daemon, name)["public_key"], before["public_key"])
            self.wait_connections(CONNECTIONS // 4)
        self.finish("a rekey of each")


def there(kind):
    def test(self):
        if kind.missing():
            self.skipTest(f"{kind.missing()} is not installed: this driver judged nothing")
    return test


# One that is missing is counted by its name among what was skipped.
for each in KINDS:
    setattr(Drivers, f"test_{each.__name__.lower()}_is_installed", there(each))


if __name__ == "__main__":
    harness.main()
