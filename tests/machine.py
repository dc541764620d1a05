"""What the tests in a booted system stand on: units, the journal, Debian's PostgreSQL, its owners.

A system_NAME.py is run by boot.py, as root, in a machine of its own: it may do what it likes there.
"""

import grp
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import unittest

import harness

BOOT = int(os.environ.get("PGCERTD_BOOT", "0"))
POLICY = pathlib.Path("/etc/pgcertd/pgcertd.yaml")
SSL = pathlib.Path("/etc/postgresql/ssl")
MAJOR = max(int(path.name) for path in pathlib.Path("/usr/lib/postgresql").glob("[0-9]*"))
CLUSTER = pathlib.Path(f"/etc/postgresql/{MAJOR}/main")
DATA = pathlib.Path(f"/var/lib/postgresql/{MAJOR}/main")
SIGNER_STATE = pathlib.Path("/var/lib/pgcertd-signer")
POSTGRES_UNIT = f"postgresql@{MAJOR}-main.service"
HBA = ("local   all all            peer map=tests\n"
       "hostssl all all samehost cert\n"
       "host    all all all      reject\n")


EVENTS = dict(re.findall(r'^#define EVENT_(\w+) "(\w+)"$',
                         (harness.SOURCE / "common/events.h").read_text(), re.M))


def run(*arguments, **more):
    return harness.run(*arguments, **more)


def systemctl(*arguments, **more):
    return run("systemctl", *arguments, **more)


def show(unit, name):
    return systemctl("show", "--value", "-p", name, unit).stdout.strip()


def is_active(unit):
    return show(unit, "ActiveState") == "active"


def journal(*matches):
    """Entries as dictionaries, oldest first."""
    run("journalctl", "--sync")
    out = run("journalctl", "-o", "json", "--all", "--no-pager", *matches, check=False).stdout
    return [json.loads(line) for line in out.splitlines()]


def messages(unit="pgcertd.service", *more):
    return [entry.get("MESSAGE", "") for entry in journal("-u", unit, *more)]


def told(name, *more):
    """The journal's entries of one event, oldest first."""
    return journal(f"MESSAGE_ID={EVENTS[name]}", *more)


def drop_in(unit, text):
    """Settings of an administrator; without text they are gone again."""
    folder = pathlib.Path(f"/run/systemd/system/{unit}.d")
    folder.mkdir(parents=True, exist_ok=True)
    if text:
        (folder / "test.conf").write_text(text)
    else:
        (folder / "test.conf").unlink()
    systemctl("daemon-reload")


def processes(file="comm"):
    """Our programs that run: pid, name, and what a file of /proc says of it."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            name, text = (folder / "comm").read_text().strip(), (folder / file).read_text()
        except OSError:  # it has ended
            continue
        if name.startswith("pgcertd"):
            yield int(folder.name), name, text


def as_user(user, *command, **more):
    return run("runuser", "-u", user, "--", *command, **more)


def sql(query, role="postgres"):
    return as_user("postgres", "psql", "-XAtqc", query, f"user={role} dbname=postgres").stdout.strip()


def make_user(name, groups=()):
    for group in groups:
        run("groupadd", "-f", group)
    more = ["-G", ",".join(groups)] if groups else []
    if run("getent", "passwd", name, check=False).returncode == 0:  # the host has one of that name
        run("usermod", "-s", "/bin/sh", *more, name)
        run("usermod", "-d", f"/home/{name}", name)
        pathlib.Path(f"/home/{name}").mkdir(exist_ok=True)
        shutil.chown(f"/home/{name}", name, pwd.getpwnam(name).pw_gid)
        shutil.rmtree(f"/home/{name}/.postgresql", ignore_errors=True)
    else:
        run("useradd", "-m", "-s", "/bin/sh", *more, name)
    return pwd.getpwnam(name)


def group(name):
    return grp.getgrnam(name).gr_gid


def start_postgres():
    """Debian's cluster as it is after its installation, but for the logins."""
    if not CLUSTER.exists():
        run("pg_createcluster", MAJOR, "main")
    text = (CLUSTER / "postgresql.conf").read_text()
    (CLUSTER / "postgresql.conf").write_text(
        text + "\nssl = off\nfsync = off\nlisten_addresses = 'localhost'\nport = 5432\n"
        "include_dir = 'conf.d'\n")
    (CLUSTER / "pg_hba.conf").write_text(HBA)
    (CLUSTER / "pg_ident.conf").write_text("tests postgres postgres\n")
    systemctl("daemon-reload")
    systemctl("start", POSTGRES_UNIT)
    harness.wait_until(lambda: as_user("postgres", "psql", "-c", "select 1", check=False).returncode == 0,
                       "PostgreSQL answers")


def make_sql_roles(*names):
    for name in names:
        sql(f"do $$ begin if not exists (select from pg_roles where rolname = '{name}') then "
            f"create role {name} login; end if; end $$")


def server(**more):
    return {"use": "server", "authority": "main", "names": ["localhost", "127.0.0.1"],
            "directory": str(SSL), "owner": "postgres", **more}


def client(name, **more):
    return {"use": "client", "authority": "main", "role": name,
            "directory": f"/home/{name}/.postgresql", "owner": name, **more}


def policy(clients=(), lifetime="30d", **defaults):
    """The policy of the README, with owners of their own for the clients."""
    return {
        "version": 1,
        "defaults": {"lifetime": lifetime, **defaults},
        "authorities": {"main": {"subject": {"O": "Example", "CN": "root"}}},
        "certificates": {"server": server(), **{name: client(name) for name in clients}},
        "clusters": {"main": {
            "data_directory": str(DATA), "certificate": "server",
            "configuration": str(CLUSTER / "conf.d/pgcertd.conf"),
            "verify": {"as": list(clients[:1]), "plaintext": "refused"}}},
    }


def short(policy_, lifetime, renew_before):
    """The same with lives of seconds."""
    policy_["defaults"] = {"lifetime": lifetime, "renew_before": renew_before, "backdate": "0s"}
    policy_["check_every"] = "1s"
    policy_["authorities"]["main"].update({"distribute": "0s", "lifetime": "1d"})
    return policy_


def write_policy(value):
    """In one rename, as an editor does it."""
    POLICY.parent.mkdir(exist_ok=True)
    new = POLICY.with_name(".new")
    new.write_text(value if isinstance(value, str) else harness.yaml_text(value))
    new.chmod(0o644)
    new.rename(POLICY)


def status():
    done = run("pgcertctl", "--json", check=False)
    if not done.stdout:
        raise AssertionError(done.stderr)
    state = json.loads(done.stdout)
    for kind in ("certificates", "clusters", "authorities"):
        state[kind] = {item["name"]: item for item in state[kind]}
    return state


def is_proven():
    done = run("pgcertctl", "--json", check=False)
    if not done.stdout:
        return False
    state = status()
    return state["health"] == 0 and all(c["proof"] == "proven" for c in state["clusters"].values())


def leaf(directory=SSL, name="server.crt"):
    return harness.pem_facts(pathlib.Path(directory) / name)


def served():
    return harness.served(5432)


def conninfo(name, directory=None):
    directory = directory or f"/home/{name}/.postgresql"
    return (f"host=localhost hostaddr=127.0.0.1 dbname=postgres user={name} sslmode=verify-full "
            f"gssencmode=disable sslcert={directory}/postgresql.crt "
            f"sslkey={directory}/postgresql.key sslrootcert={directory}/root.crt")


class Machine(unittest.TestCase):
    """A machine on which pgcertd was installed and PostgreSQL runs without TLS."""

    maxDiff = None
    users = ("app",)

    @classmethod
    def setUpClass(cls):
        for name in ("pgcertd.conf",):
            run("systemd-sysusers", name)
            run("systemd-tmpfiles", "--create", name)
        for name in cls.users:
            make_user(name)
        SSL.mkdir(exist_ok=True)
        shutil.chown(SSL, "postgres", "postgres")
        start_postgres()
        make_sql_roles(*cls.users)

    def tearDown(self):
        failed = self._outcome.result.failures + self._outcome.result.errors
        if any(test is self for test, _ in failed):
            print(run("journalctl", "-b", "--no-pager", "-n", "60", check=False).stdout)

    def enable(self, *owners):
        for owner in owners:
            systemctl("enable", "--now", f"pgcertd-worker@{owner}.socket")
        systemctl("enable", "--now", "pgcertd")

    def await_proven(self, limit=harness.LIMIT):
        harness.wait_until(is_proven, "everything is proven", limit)

    def reset(self):
        """As after the installation: pgcertd stopped, no files, PostgreSQL without TLS."""
        systemctl("stop", "pgcertd.service", "pgcertd-signer.service", "pgcertd-worker@*.service")
        systemctl("reset-failed")
        POLICY.unlink(missing_ok=True)
        shutil.rmtree("/etc/pgcertd/conf.d", ignore_errors=True)
        for path in (pathlib.Path("/var/lib/pgcertd"), SIGNER_STATE, SSL,
                     *(pathlib.Path(f"/home/{name}/.postgresql") for name in self.users)):
            if path.exists():
                run("find", path, "-mindepth", "1", "-delete")
        (CLUSTER / "conf.d/pgcertd.conf").unlink(missing_ok=True)
        systemctl("start", POSTGRES_UNIT)
        systemctl("reload", POSTGRES_UNIT)
        harness.wait_until(lambda: served() is None, "PostgreSQL has no TLS")


def main():
    unittest.main(verbosity=2)
