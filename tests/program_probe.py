"""pgcertctl probe: what a server serves, judged as a client would, whatever the server does."""

import contextlib
import json
import socket
import ssl
import subprocess
import threading

import harness
from harness import Scene, program, run

TIMEOUT = "2s"


def probe(*arguments, expect=None):
    done = subprocess.run([program("pgcertctl"), "probe", "--timeout", TIMEOUT, *map(str, arguments)],
                          capture_output=True, text=True, timeout=60, errors="replace")
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"exit {done.returncode}, not {expect}\n{done.stdout}{done.stderr}")
    return done


class Fake:
    """A listener on loopback; `behave` is given each connection once its request has come."""

    def __init__(self, behave, asks=True):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.behave, self.asks, self.is_over = behave, asks, threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while not self.is_over.is_set():
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with connection, contextlib.suppress(OSError, ssl.SSLError, ValueError):
            connection.settimeout(20)
            if self.asks:
                connection.recv(8)
            self.behave(connection)

    def close(self):
        self.is_over.set()
        self.socket.close()


def wait_for_end(connection):
    with contextlib.suppress(OSError):
        while connection.recv(4096):
            pass


def silence(connection):
    wait_for_end(connection)


def garbage(connection):
    connection.sendall(b"S" + bytes(range(256)) * 64)
    wait_for_end(connection)


def flood(connection):
    connection.sendall(b"S")
    # A handshake message that says it has 16 MB, and goes on for ever.
    record = b"\x16\x03\x03\x40\x00" + b"\x0b\xff\xff\xff" + b"\0" * 16380
    while True:
        connection.sendall(record)


def http(connection):
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def plain(connection):
    connection.sendall(b"N")
    wait_for_end(connection)


def refusal(connection):
    connection.sendall(b"E\0\0\0\x20SFATAL\0C53300\0Mtoo many\x07clients\0\0")


class Probe(Scene):
    def tearDown(self):
        for fake in getattr(self, "fakes", []):
            fake.close()
        super().tearDown()

    def fake(self, behave, asks=True):
        self.fakes = getattr(self, "fakes", [])
        self.fakes.append(Fake(behave, asks))
        return self.fakes[-1].port

    def served(self):
        """A PostgreSQL with pgcertd's certificate: its port, and the trust bundle of its client."""
        cluster = self.postgres()
        daemon = self.pgcertd(self.basic_policy(cluster))
        daemon.once()
        return cluster, daemon, f"{daemon.policy['certificates']['app']['directory']}/root.crt"

    def make(self, name, days, subject="/CN=localhost", names="DNS:localhost", bits="rsa:2048"):
        """A self-signed certificate; days may be negative only through faketime, so not here."""
        key, certificate = self.path(f"{name}.key"), self.path(f"{name}.crt")
        configuration = self.path(f"{name}.cnf")
        configuration.write_text("[req]\ndistinguished_name = dn\nx509_extensions = v3\n[dn]\n"
                                 f"[v3]\nsubjectAltName = {names}\n")
        run("openssl", "req", "-x509", "-newkey", bits, "-nodes", "-keyout", key, "-out",
            certificate, "-days", days, "-subj", subject, "-config", configuration)
        return certificate, key

    def tls(self, certificate, key, asks=True):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        with contextlib.suppress(NotImplementedError):
            context.set_alpn_protocols(["postgresql"])

        def behave(connection):
            if asks:
                connection.sendall(b"S")
            with context.wrap_socket(connection, server_side=True) as wrapped:
                wait_for_end(wrapped)
        return self.fake(behave, asks)

    def test_shows_and_verifies_what_a_postgresql_serves(self):
        cluster, daemon, bundle = self.served()
        host = f"localhost:{cluster.port}"
        served = json.loads(probe(host, "--ca", bundle, "--json", expect=0).stdout)["hosts"][0]
        server = daemon.policy["certificates"]["server"]
        own = run("openssl", "x509", "-in",
                  f"{server['directory']}/{server['files']['certificate']}",
                  "-noout", "-fingerprint", "-sha256").stdout
        self.assertEqual(served["leaf"]["sha256"],
                         own.split("=")[1].strip().replace(":", "").lower())
        self.assertIs(served["verified"], True)
        self.assertIs(served["name_matches"], True)
        self.assertIs(served["asks_client"], True)
        self.assertRegex(served["protocol"], r"^TLSv1\.[23]$")
        self.assertIn("localhost", served["leaf"]["names"])
        self.assertEqual(len(served["client_issuers"]), 1)
        text = probe(host, "--ca", bundle, expect=0).stdout
        self.assertRegex(text, r"^OK localhost:\d+: .* left, until .*Z \| 'localhost:\d+'=\d+s;\d+:;\d+:\n")
        for line in text.split("\n")[1:]:
            self.assertLessEqual(len(line), 80, line)
        # A name it is not for, by another bundle, and without one.
        self.assertIn("not for db2.example.com", probe(host, "--ca", bundle, "--name",
                                                       "db2.example.com", expect=2).stdout)
        other, _ = self.make("other", 30)
        self.assertIn("does not verify", probe(host, "--ca", other, expect=2).stdout)
        self.assertIs(json.loads(probe(host, "--json", expect=0).stdout)["hosts"][0]["verified"],
                      None)
        self.assertNotIn("pgcertd_probe_verified", probe(host, "--prometheus", expect=0).stdout)
        metrics = probe(host, "--ca", bundle, "--prometheus", expect=0).stdout
        self.assertRegex(metrics, r'(?m)^pgcertd_probe_verified\{host="localhost",port="\d+"\} 1$')
        self.assertRegex(metrics, r'(?m)^pgcertd_probe_not_after_seconds\{.*\} \d{10}$')

    def test_warns_by_the_leafs_own_life_or_by_days(self):
        port = self.tls(*self.make("leaf", 10))
        host = f"localhost:{port}"
        self.assertEqual(probe(host).returncode, 0)
        self.assertEqual(probe(host, "--warning", "20").returncode, 1)
        self.assertEqual(probe(host, "--warning", "30d", "--critical", "20d").returncode, 2)
        self.assertEqual(probe(host, "--warning", "1h", "--critical", "0").returncode, 0)

    def test_understands_direct_tls(self):
        port = self.tls(*self.make("leaf", 10), asks=False)
        done = probe(f"localhost:{port}", "--direct", expect=0)
        self.assertIn("ALPN postgresql", done.stdout)
        # Without --direct it waits for an answer that does not come, and no longer than that.
        self.assertEqual(probe(f"localhost:{port}").returncode, 2)

    def test_bears_whatever_a_server_does(self):
        behaviours = {
            "silence": (silence, "timed out"), "garbage": (garbage, "TLS handshake failed"),
            "flood": (flood, "TLS handshake failed"), "http": (http, "not a PostgreSQL"),
            "plain": (plain, "no TLS"), "refusal": (refusal, "too many")}
        ports = {name: self.fake(behave) for name, (behave, _) in behaviours.items()}
        huge = self.make("huge", 10, names=",".join(f"DNS:n{i}.example.com" for i in range(9000)))
        ports["huge"] = self.tls(*huge)
        chain = self.make("chain", 10)
        chain[0].write_text(chain[0].read_text() * 500)
        ports["chain"] = self.tls(*chain)
        done = probe(*(f"127.0.0.1:{port}" for port in ports.values()), "--json", expect=2)
        rows = {row["port"]: row for row in json.loads(done.stdout)["hosts"]}
        for name, (_, words) in behaviours.items():
            self.assertIn(words, rows[ports[name]]["sentence"], name)
            self.assertNotRegex(rows[ports[name]]["sentence"], r"[\x00-\x1f]")
        for name in ("huge", "chain"):
            self.assertEqual(rows[ports[name]]["outcome"], "broken", rows[ports[name]])

    def test_many_hosts_take_one_deadline_and_the_worst_comes_first(self):
        # One after the other they would take longer than probe() waits.
        good = self.tls(*self.make("leaf", 10))
        hanging = [self.fake(silence) for _ in range(40)]
        hosts = [f"localhost:{good}"] * 60 + [f"127.0.0.1:{port}" for port in hanging]
        done = probe(*hosts, expect=2)
        lines = done.stdout.split("\n")
        self.assertTrue(lines[0].startswith(
            "CRITICAL 100 hosts: 60 ok, 0 warning, 40 critical, 0 unknown | "), lines[0][:200])
        self.assertEqual(len(lines), 1 + len(hosts) + 1, "one for each, and the end of the last")
        self.assertTrue(all(line.startswith("CRITICAL ") for line in lines[1:41]))
        self.assertTrue(all(line.startswith("OK ") for line in lines[41:101]))

    def test_needs_no_pgcertd_and_tells_wrong_usage(self):
        for arguments in ([], ["a:b:c"], ["localhost:0"], ["localhost:70000"], ["[::1"],
                          ["localhost", "--warning", "x"], ["localhost", "--nonsense"],
                          ["localhost", "--critical", "3", "--warning", "2"],
                          ["localhost", "--ca", "/nonexistent"]):
            done = probe(*arguments, expect=3)
            self.assertRegex(done.stderr, r"^pgcertctl: ", arguments)
            self.assertEqual(done.stdout, "")
        self.assertEqual(probe("nosuch.invalid").returncode, 3)
        self.assertIn("Usage", probe("--help", expect=0).stdout)
        for arguments in (["--json", "probe", "127.0.0.1:1"], ["--runtime-dir", "/x", "probe",
                                                             "--json", "127.0.0.1:1"]):
            done = subprocess.run([program("pgcertctl"), *arguments], capture_output=True,
                                  text=True, timeout=60)
            self.assertEqual(json.loads(done.stdout)["health"], 2, done.stderr)


if __name__ == "__main__":
    harness.main()
