"""What the whole-program tests stand on: a throw-away PostgreSQL, pgcertd on a policy, a load.

Everything lives in one temporary directory per Scene, listens on 127.0.0.1 and a free port, and
dies with the test. Nothing but Python's standard library, PostgreSQL's and OpenSSL's own programs
and libpq; these are the outside judges. Waiting is always for a condition, with a limit.

    PGCERTD_BUILD           the build tree (or PGCERTD_PREFIX: where it was installed)
    PGCERTD_TEST_POSTGRES   directories of PostgreSQL's programs, separated by colons; by default
                            every /usr/lib/postgresql/*/bin
"""

import atexit
import calendar
import contextlib
import ctypes
import ctypes.util
import functools
import glob
import hashlib
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SOURCE = pathlib.Path(os.environ.get("PGCERTD_SOURCE") or pathlib.Path(__file__).parents[1])
LIMIT = 30.0  # seconds that a condition may take, where a test says nothing else

if os.geteuid() == 0 and "PGCERTD_BOOT" not in os.environ:  # root in a booted system is at home
    # PostgreSQL and pgcertd refuse root; go on as the user that Debian made for it.
    if os.environ.get("PGCERTD_DROPPED") or not shutil.which("setpriv"):
        sys.exit("run the tests as an unprivileged user: tests/run does it for you")
    script = os.path.abspath(sys.argv[0])
    os.chdir("/")
    os.execvpe("setpriv", ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups",
                           "/usr/bin/python3", script, *sys.argv[1:]],
               {**os.environ, "PGCERTD_DROPPED": "1", "HOME": "/var/lib/postgresql",
                "USER": "postgres", "PYTHONDONTWRITEBYTECODE": "1"})

ME = pwd.getpwuid(os.getuid()).pw_name
_libc = ctypes.CDLL(None, use_errno=True)


def program(name):
    """The path of one of our programs, built or installed."""
    prefix = os.environ.get("PGCERTD_PREFIX")
    if prefix:
        places = [f"{prefix}/sbin", f"{prefix}/bin", f"{prefix}/libexec/pgcertd"]
    else:
        places = [f"{os.environ.get('PGCERTD_BUILD', SOURCE / 'build')}/daemon"]
    for place in places:
        if os.access(f"{place}/{name}", os.X_OK):
            return f"{place}/{name}"
    sys.exit(f"no {name} in {' '.join(places)}: set PGCERTD_BUILD")


def majors():
    """The directories of PostgreSQL's programs, one a major."""
    named = os.environ.get("PGCERTD_TEST_POSTGRES")
    found = named.split(":") if named else sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not found:
        sys.exit("no PostgreSQL in /usr/lib/postgresql, and PGCERTD_TEST_POSTGRES names none")
    return found


def client(bindir, name):
    """psql and the like: of that PostgreSQL, or where it has none (a server alone), of the newest."""
    places = [bindir, *reversed(sorted(glob.glob("/usr/lib/postgresql/*/bin")))]
    return next((f"{p}/{name}" for p in places if os.access(f"{p}/{name}", os.X_OK)), name)


def each_major(test):
    """Runs a test method once for each PostgreSQL, as self.bindir."""
    @functools.wraps(test)
    def run(self):
        for self.bindir in majors():
            with self.subTest(postgres=self.bindir):
                test(self)
    return run


def wait_until(condition, what, limit=LIMIT):
    """Polls until condition() is true and returns its value; fails after the limit."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {limit:g} s still not: {what}")
        time.sleep(0.02)


def _die_with_parent():
    _libc.prctl(1, signal.SIGTERM)


def spawn(arguments, log, **more):
    """A process that ends when the test does, with its output in a file."""
    with open(log, "ab") as out:
        return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out,
                                stderr=subprocess.STDOUT, preexec_fn=_die_with_parent, **more)


def run(*arguments, check=True, timeout=60, **more):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=timeout, **more)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, arguments))}: exit {done.returncode}\n"
                             f"{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done


def free_port():
    """Below what the kernel gives to outgoing connections, which could take it meanwhile."""
    while True:
        port = random.SystemRandom().randrange(10240, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


# Certificates, as openssl sees them.

def pem_facts(path):
    """Serial, dates, key and digest of a file's first certificate."""
    text = pathlib.Path(path).read_text()
    der = ssl.PEM_cert_to_DER_cert(re.search(
        r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.S).group(0))
    out = run("openssl", "x509", "-in", path, "-noout", "-serial", "-pubkey").stdout
    serial = re.search(r"serial=([0-9A-F]+)", out).group(1).lower()
    return {"sha256": hashlib.sha256(der).hexdigest(), "serial": serial.lstrip("0"),
            "public_key": out[out.index("-----BEGIN"):]}


def ends_at(path):
    """When a file's first certificate ends, in seconds since 1970."""
    out = run("openssl", "x509", "-in", path, "-noout", "-enddate").stdout
    return calendar.timegm(time.strptime(out.strip(), "notAfter=%b %d %H:%M:%S %Y GMT"))


def served(port, host="127.0.0.1", limit=5):
    """The SHA-256 of the leaf that a fresh connection is served; None where there is no TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=limit) as raw:
            raw.sendall(struct.pack("!II", 8, 80877103))
            if raw.recv(1) != b"S":
                return None
            with context.wrap_socket(raw) as tls:
                leaf = hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()
                with contextlib.suppress(OSError):
                    tls.shutdown(socket.SHUT_WR)
                    tls.recv(1)  # the server's own end, so that it logs no reset
                return leaf
    except OSError:
        return None


def openssl_served(port):
    """The same by openssl's own client: the PEM text of what was served."""
    done = subprocess.run(["openssl", "s_client", "-starttls", "postgres", "-connect",
                           f"127.0.0.1:{port}", "-showcerts"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=20, check=False)
    return done.stdout


# Policies.

def yaml_text(value, indent=0):
    """Plain data as block YAML; texts are quoted as JSON, which YAML reads."""
    pad = "  " * indent
    lines = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            lines.append(f"{pad}{key}:\n{yaml_text(item, indent + 1)}")
        elif isinstance(item, (list, tuple)):
            lines.append(f"{pad}{key}: [{', '.join(json.dumps(i) for i in item)}]\n")
        else:
            lines.append(f"{pad}{key}: {json.dumps(item)}\n")
    return "".join(lines)


class Postgres:
    """One cluster of its own, with ssl = off until somebody turns it on."""

    def __init__(self, directory, bindir, hba=None, settings="", empty=False):
        self.directory = pathlib.Path(directory)
        self.bindir = bindir
        self.data = self.directory / "data"
        self.log_file = self.directory / "log"
        self.configuration = self.directory / "pgcertd.conf"
        self.port = free_port()
        self.process = None
        self.directory.mkdir(mode=0o700)
        if empty:  # a data directory to be named in a policy, never to be started
            self.data.mkdir(mode=0o700)
            return
        self._initdb()
        (self.data / "pg_hba.conf").write_text(hba or (
            "local   all all            trust\n"
            "hostssl all all 127.0.0.1/32 cert\n"
            "host    all all 0.0.0.0/0  reject\n"))
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as out:
            out.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\n"
                      f"unix_socket_directories = '{self.directory}'\n"
                      "fsync = off\nmax_connections = 60\nshared_buffers = 4MB\n"
                      "logging_collector = off\nautovacuum = off\n"
                      f"include_if_exists = '{self.configuration}'\n{settings}")

    def _initdb(self):
        template = pathlib.Path(tempfile.gettempdir()) / (
            f"pgcertd-initdb-{os.getpid()}-{hashlib.sha256(self.bindir.encode()).hexdigest()[:8]}")
        if not template.exists():
            run(f"{self.bindir}/initdb", "-D", template, "-U", ME, "-A", "trust", "--no-sync",
                "-E", "UTF8", "--no-locale", "--wal-segsize=1")
            atexit.register(shutil.rmtree, template, ignore_errors=True)
        shutil.copytree(template, self.data)
        self.data.chmod(0o700)

    def start(self, limit=LIMIT):
        self.process = spawn([f"{self.bindir}/postgres", "-D", str(self.data)], self.log_file)
        wait_until(self._is_ready, f"PostgreSQL starts, see its log:\n{self.log()[-2000:]}", limit)
        return self

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"PostgreSQL does not start:\n{self.log()[-3000:]}")
        return subprocess.run([client(self.bindir, "pg_isready"), "-q", "-h", str(self.directory), "-p",
                               str(self.port)], check=False).returncode == 0

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait(10)
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def reloads(self):
        return self.log().count("received SIGHUP, reloading configuration files")

    def sql(self, query):
        """As the owner, over the Unix socket."""
        return self.psql(f"host={self.directory} user={ME} dbname=postgres", query).stdout.strip()

    def psql(self, conninfo, query="select 1", check=True, **environment):
        """The real psql on a conninfo; the port is this cluster's."""
        return run(client(self.bindir, "psql"), "-XAtq", f"{conninfo} port={self.port}", "-c", query,
                   check=check, env={"PATH": os.environ["PATH"], "HOME": str(self.directory),
                                     "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C", **environment})

    def roles(self, *names):
        for name in names:
            self.sql(f'create role "{name}" login')


class Pgcertd:
    """pgcertd and pgcertctl on one policy, with state and runtime directories of their own."""

    def __init__(self, directory, policy):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(mode=0o700)
        self.policy_file = self.directory / "pgcertd.yaml"
        self.state = self.directory / "state"
        self.runtime = self.directory / "run"
        self.log_file = self.directory / "log"
        self.process = None
        self.write(policy)

    def write(self, policy):
        """A new policy file, put in place by rename."""
        self.policy = policy
        text = policy if isinstance(policy, str) else yaml_text(policy)
        temporary = self.policy_file.with_suffix(".new")
        temporary.write_text(text)
        temporary.rename(self.policy_file)

    def arguments(self, *more):
        return [program("pgcertd"), "--policy", str(self.policy_file), "--state-dir",
                str(self.state), "--runtime-dir", str(self.runtime), *more]

    def run(self, *more, check=True, timeout=120):
        return run(*self.arguments(*more), check=check, timeout=timeout)

    def once(self, expect=0):
        done = self.run("--once", check=False)
        if done.returncode != expect:
            raise AssertionError(f"--once: exit {done.returncode}, not {expect}\n"
                                 f"{done.stdout}{done.stderr[-6000:]}")
        return done

    def start(self, limit=LIMIT, wait=True):
        self.process = spawn(self.arguments(), self.log_file)
        if wait:
            wait_until(self._is_answering, f"pgcertd answers; its log:\n{self.log()[-4000:]}",
                       limit)
        return self

    def _is_answering(self):
        if self.process.poll() is not None:
            raise AssertionError(f"pgcertd ended with {self.process.returncode}:\n"
                                 f"{self.log()[-6000:]}")
        return self.ctl("status", check=False).returncode != 3

    def stop(self, limit=10):
        """SIGTERM; returns the exit status and how long it took."""
        if not self.process or self.process.poll() is not None:
            return None, 0.0
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(limit)
        return status, time.monotonic() - begin

    def ctl(self, *arguments, check=True, timeout=120):
        done = run(program("pgcertctl"), "--runtime-dir", self.runtime, *arguments, check=False,
                   timeout=timeout)
        if check and done.returncode:
            raise AssertionError(f"pgcertctl {' '.join(arguments)}: exit {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}\n{self.log()[-4000:]}")
        return done

    def status(self):
        """`pgcertctl --json`, with arrays as dicts by name."""
        data = json.loads(self.ctl("--json", "status", check=False).stdout)
        return {key: {item["name"]: item for item in value} if isinstance(value, list) else value
                for key, value in data.items()}

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def children(self, pid=None):
        """The pids of worker and signer: what pgcertd has started and not yet seen end."""
        found = []
        for task in glob.glob(f"/proc/{pid or self.process.pid}/task/*/children"):
            with contextlib.suppress(OSError):
                found += [int(p) for p in pathlib.Path(task).read_text().split()]
        return found

    def generation(self, name):
        """Which generation of a certificate is published, or None."""
        try:
            return os.readlink(f"{self.policy['certificates'][name]['directory']}/current")
        except OSError:
            return None


class Scene(unittest.TestCase):
    """A temporary directory with clusters and pgcertds that are ended with the test."""

    bindir = None

    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="pgc."))
        self.running = []
        self.addCleanup(self._clean)

    def _clean(self):
        for thing in reversed(self.running):
            with contextlib.suppress(Exception):
                thing.stop()
        if os.environ.get("PGCERTD_TEST_KEEP"):
            print(f"kept: {self.directory}", file=sys.stderr)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        """A new name in the scene: with several majors each has its own."""
        stem, number = self.directory / name, 1
        while stem.exists():
            number += 1
            stem = self.directory / f"{name}{number}"
        return stem

    def postgres(self, name="pg", start=True, roles=("app",), **more):
        cluster = Postgres(self.path(name), self.bindir or majors()[-1], empty=not start, **more)
        self.running.append(cluster)
        if start:
            cluster.start()
            cluster.roles(*roles)
        return cluster

    def pgcertd(self, policy):
        daemon = Pgcertd(self.path("pgcertd"), policy)
        self.running.append(daemon)
        return daemon

    def basic_policy(self, cluster, lifetime="30d", renew_before=None, clients=("app",), **defaults):
        """The tutorial's set-up: one CA, one server, client certificates, one cluster."""
        ssl_directory = self.path("ssl")
        policy = {
            "version": 1,
            "defaults": {"lifetime": lifetime, **defaults},
            "authorities": {"main": {
                "subject": {"C": "CN", "ST": "GD", "O": "Bytebase", "CN": "root"}}},
            "certificates": {"server": {
                "use": "server", "authority": "main", "names": ["localhost", "127.0.0.1"],
                "directory": str(ssl_directory), "owner": ME,
                "files": {"certificate": "server-cert.pem", "key": "server-key.pem",
                          "trust": "ca-cert.pem"}}},
            "clusters": {"main": {
                "data_directory": str(cluster.data), "certificate": "server",
                "configuration": str(cluster.configuration),
                "verify": {"as": list(clients[:1]), "plaintext": "refused"}}},
        }
        if renew_before:
            policy["defaults"]["renew_before"] = renew_before
        for client in clients:
            policy["certificates"][client] = {
                "use": "client", "authority": "main", "role": client,
                "directory": str(self.path(f"client-{client}")), "owner": ME}
        return policy

    def short_policy(self, cluster, lifetime="6s", renew_before="3s", **more):
        """The same with lives of seconds."""
        policy = self.basic_policy(cluster, lifetime, renew_before, backdate="0s", **more)
        policy["check_every"] = "1s"
        policy["authorities"]["main"]["distribute"] = "0s"
        policy["authorities"]["main"]["lifetime"] = "1d"
        return policy

    def conninfo(self, daemon, role="app", sslmode="verify-full", host="localhost"):
        """What an application is given: fixed names, never a generation."""
        directory = daemon.policy["certificates"][role]["directory"]
        return (f"host={host} hostaddr=127.0.0.1 dbname=postgres user={role} sslmode={sslmode} "
                f"gssencmode=disable sslcert={directory}/postgresql.crt "
                f"sslkey={directory}/postgresql.key sslrootcert={directory}/root.crt")

    def disk(self, daemon, name):
        """What is published under a certificate's fixed name."""
        certificate = daemon.policy["certificates"][name]
        default = "server.crt" if certificate["use"] == "server" else "postgresql.crt"
        file = certificate.get("files", {}).get("certificate", default)
        return pem_facts(f"{certificate['directory']}/{file}")

    def assertProven(self, daemon, cluster="main"):
        state = daemon.status()
        self.assertEqual(state["clusters"][cluster]["proof"], "proven", state)
        self.assertEqual(state["health"], 0, state)


class Load:
    """Clients that connect all the time, each connection a whole login with libpq and one query."""

    def __init__(self, conninfos, threads=3, pause=0.0):
        self.conninfos = [c.encode() for c in conninfos]
        self.pause = pause
        self.connections = 0
        self.failures = []
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._libpq = _libpq()
        self._threads = [threading.Thread(target=self._connect, args=(n,), daemon=True)
                         for n in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join(30)
            if thread.is_alive():
                self.failures.append("a connection hangs")

    def _connect(self, number):
        while not self._end.is_set():
            conninfo = self.conninfos[number % len(self.conninfos)]
            number += 1
            message = self._login(conninfo)
            with self._lock:
                self.connections += 1
                if message:
                    self.failures.append(f"{time.strftime('%T')} {message.strip()}")
            self._end.wait(self.pause)

    def _login(self, conninfo):
        connection = self._libpq.PQconnectdb(conninfo)
        try:
            if self._libpq.PQstatus(connection) != 0:
                return self._libpq.PQerrorMessage(connection).decode(errors="replace")
            result = self._libpq.PQexec(connection, b"select 1")
            good = self._libpq.PQresultStatus(result) == 2
            self._libpq.PQclear(result)
            return None if good else self._libpq.PQerrorMessage(connection).decode()
        finally:
            self._libpq.PQfinish(connection)


def _libpq():
    library = ctypes.CDLL(ctypes.util.find_library("pq") or "libpq.so.5")
    for name, result, arguments in (
            ("PQconnectdb", ctypes.c_void_p, [ctypes.c_char_p]),
            ("PQstatus", ctypes.c_int, [ctypes.c_void_p]),
            ("PQerrorMessage", ctypes.c_char_p, [ctypes.c_void_p]),
            ("PQexec", ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]),
            ("PQresultStatus", ctypes.c_int, [ctypes.c_void_p]),
            ("PQclear", None, [ctypes.c_void_p]),
            ("PQfinish", None, [ctypes.c_void_p])):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def main():
    unittest.main(verbosity=2)
