"""Dies anywhere: each program killed at each call that changes or tells something, on PostgreSQL.

A first issue, a renewal and a rekey are recorded with strace; then each is done again once for
every recorded rename, sync, mkdir, symlink, link, unlink, write and answer of each program, which
is killed (SIGKILL) as it enters that call. After each kill: what is on disk is whole (judged by
openssl), a PostgreSQL started on it starts and serves it, a client logs in, and the next --once
finishes and is proven.

    PGCERTD_TEST_WHOLE=1    every call; otherwise a sample of them
"""

import collections
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import time

import harness
from harness import Scene, client, run, wait_until

CALLS = ("/^(rename|fsync|fdatasync|sync|mkdir|rmdir|symlink|link|unlink|p?write|sendto|sendmsg)")
PROGRAMS = ("pgcertd", "pgcertd-worker", "pgcertd-signer")
SAMPLE = 6  # a case a scenario besides those that switch, where not all are run
Case = collections.namedtuple("Case", "scenario program call number")

# The tracer must be no parent: the programs end with who started them, and are known by their pid.
# Only the first process of a program is traced, so that one started in its place goes on.
WRAPPER = """#!/bin/sh
if [ -s {plan} ]; then
        read -r options < {plan}
        : > {plan}
        exec strace -D -qqq -o {trace} $options {program} "$@"
fi
exec {program} "$@"
"""


class Wrapped:
    """Our programs in a directory of their own, each behind a script that may trace it."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        real = self.directory / "real"
        real.mkdir()
        for name in PROGRAMS:
            shutil.copy(harness.program(name), real / name)
        # pgcertd looks for the others beside its own executable: its own must lie with the scripts.
        shutil.copy(harness.program("pgcertd"), self.directory / "pgcertd")
        for name in PROGRAMS[1:]:
            script = self.directory / name
            script.write_text(WRAPPER.format(plan=self.plan(name), trace=self.trace(name),
                                             program=real / name))
            script.chmod(0o755)

    def plan(self, name):
        return self.directory / f"{name}.plan"

    def trace(self, name):
        return self.directory / f"{name}.trace"

    def once(self, daemon, options):
        """--once, with strace's options for the programs that have some. Returns its status."""
        command = daemon.arguments("--once")
        command[0] = str(self.directory / "pgcertd")
        for name in PROGRAMS:
            self.trace(name).unlink(missing_ok=True)
            self.plan(name).write_text(options.get(name, "") + "\n" * (name in options))
        if "pgcertd" in options:
            command = ["strace", "-qqq", "-o", str(self.trace("pgcertd")),
                       *options["pgcertd"].split(), *command]
        # No pipe: who outlives pgcertd would hold it open.
        with open(daemon.log_file, "wb") as log:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    timeout=60, check=False).returncode
        wait_until(lambda: not self.left(daemon), "what pgcertd started ends with it", 10)
        return status

    @staticmethod
    def left(daemon):
        """Processes that still work on this policy."""
        found = []
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(daemon.policy_file).encode() in entry.read_bytes():
                    found.append(entry.parent.name)
            except OSError:
                pass
        return found

    def recorded(self, program):
        """The calls of one program in their order: (name, which of that name)."""
        counts, calls = collections.Counter(), []
        for line in self.trace(program).read_text().splitlines():
            match = re.match(r"(\w+)\((\w+)", line)
            if not match:
                continue
            name, first = match.groups()
            counts[name] += 1
            # What a worker sends to PostgreSQL changes nothing; its answers, on fd 0, do.
            if name.startswith("send") and program != "pgcertd" and first != "0":
                continue
            calls.append((name, counts[name]))
        return calls


class Killed(Scene):
    def setUp(self):
        super().setUp()
        if not shutil.which("strace"):
            self.skipTest("no strace")
        if run("strace", "-o", "/dev/null", "true", check=False).returncode:
            self.skipTest("strace may not trace here")
        self.cluster = self.postgres()
        # Another PostgreSQL that reads the same set: it is started on what a kill left behind
        # while the first one keeps running, its proof still owed.
        self.twin = self.postgres(
            "twin", settings=f"include_if_exists = '{self.cluster.configuration}'\n")
        self.twin.stop()
        self.daemon = self.pgcertd(self.basic_policy(self.cluster))
        self.wrapped = Wrapped(self.directory / "programs")
        certificates = self.daemon.policy["certificates"]
        self.ssl = pathlib.Path(certificates["server"]["directory"])
        self.client = pathlib.Path(certificates["app"]["directory"])
        self.places = [self.ssl, self.client, self.daemon.state, self.daemon.runtime,
                       self.cluster.configuration]
        self.harm, self.idle, self.spares = [], [], collections.Counter()

    # States to begin from.

    def save(self, name):
        saved = self.directory / f"saved-{name}"
        saved.mkdir()
        for place in self.places:
            if place.exists():
                run("cp", "-a", place, saved / place.name)

    def restore(self, name):
        saved = self.directory / f"saved-{name}"
        for place in self.places:
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
            if (saved / place.name).exists():
                run("cp", "-a", saved / place.name, place)
        leaf = self.leaf()
        if harness.served(self.cluster.port) != leaf:
            self.cluster.process.send_signal(signal.SIGHUP)
            wait_until(lambda: harness.served(self.cluster.port) == leaf, "the old set is served")

    def policies(self):
        """What each scenario begins with, and the policy that makes its work due."""
        base = self.daemon.policy
        longer = {**base, "defaults": {"lifetime": "60d", "renew_before": "40d"}}
        rekey = {**base, "defaults": {**longer["defaults"], "rekey": "always"}}
        return {"first": ("nothing", base), "renewal": ("issued", longer),
                "rekey": ("issued", rekey)}

    def leaf(self):
        certificate = self.ssl / "server-cert.pem"
        if not self.cluster.configuration.exists():
            return None
        return harness.pem_facts(certificate)["sha256"]

    # Judgements; each finding is one sentence.

    def issued(self):
        """The serials of the ledger by certificate."""
        found = collections.defaultdict(list)
        ledger = self.daemon.state / "signer" / "ledger.jsonl"
        if ledger.exists():
            for line in ledger.read_text().splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:
                    continue  # torn by the kill: its certificate never left the signer
                if entry["event"] == "issued":
                    found[entry["certificate"]].append(entry["serial"].lstrip("0"))
        return found

    def check_files(self):
        known = self.issued()
        for name, place, files in (
                ("server", self.ssl, ("server-cert.pem", "server-key.pem", "ca-cert.pem")),
                ("app", self.client, ("postgresql.crt", "postgresql.key", "root.crt"))):
            for generation in place.glob("generation-*"):
                certificate = generation / files[0]
                if certificate.exists() and "END CERT" in certificate.read_text():
                    serial = harness.pem_facts(certificate)["serial"]
                    if serial not in known[name]:
                        yield f"{certificate}: the ledger does not know {serial}"
            if (place / "current").is_symlink():
                yield from self.check_set(place / "current", *files)

    @staticmethod
    def check_set(place, certificate, key, trust):
        """A published set, by openssl and by PostgreSQL's own rule for modes."""
        for name, mode in ((certificate, 0o644), (key, 0o600), (trust, 0o644)):
            if not (place / name).is_file():
                yield f"{place / name} is missing"
                return
            found = stat.S_IMODE((place / name).stat().st_mode)
            if found != mode:
                yield f"{place / name}: mode {found:o}, not {mode:o}"
        pair = [run("openssl", *arguments, check=False) for arguments in (
            ("x509", "-in", place / certificate, "-noout", "-pubkey"),
            ("pkey", "-in", place / key, "-pubout"))]
        if any(p.returncode for p in pair) or pair[0].stdout != pair[1].stdout:
            yield f"{place}: a torn pair: {pair[0].stderr}{pair[1].stderr}"
        verified = run("openssl", "verify", "-CAfile", place / trust, place / certificate,
                       check=False)
        if verified.returncode:
            yield f"{place}: {verified.stdout}{verified.stderr}"

    def check_postgres(self, cluster, must_serve):
        """What a PostgreSQL does that is started now."""
        try:
            cluster.start()
        except AssertionError as error:
            yield f"PostgreSQL does not start: {error}"
            return
        leaf = self.leaf()
        if harness.served(cluster.port) != leaf:
            yield "what is served is not what is on disk"
        if must_serve and not leaf:
            yield "TLS was on and is off"
        if leaf:
            login = run(client(cluster.bindir, "psql"), "-XAtqc", "select 1",
                        f"{self.conninfo(self.daemon)} port={cluster.port}", check=False)
            if login.returncode:
                yield f"a client cannot log in: {login.stderr}"

    def check_finished(self, case, before):
        """After the next --once: as if there had been no kill."""
        done = self.daemon.run("--once", check=False)
        if done.returncode:
            yield f"the next --once exits {done.returncode}: {done.stderr[-600:]}"
            return
        leaf, disk = harness.served(self.cluster.port), self.disk(self.daemon, "server")
        if not leaf or leaf != disk["sha256"]:
            yield "the next --once is not proven"
        if case.scenario != "first":
            for name in before:
                now = self.disk(self.daemon, name)
                if now["sha256"] == before[name]["sha256"]:
                    yield f"{name} was not renewed"
                same = now["public_key"] == before[name]["public_key"]
                if same != (case.scenario == "renewal"):
                    yield f"{name}: the key was {'kept' if same else 'changed'}"
        yield from self.check_files()
        wanted = 1 if case.scenario == "first" else 2
        for name, serials in self.issued().items():
            if len(serials) - wanted > 1:
                yield f"{name}: {len(serials) - wanted} spare certificates"
            self.spares[max(0, len(serials) - wanted)] += 1
        for place in (self.ssl, self.client):
            strange = [p.name for p in place.iterdir()
                       if not p.is_symlink() and not re.fullmatch(r"generation-\d+", p.name)]
            if strange:
                yield f"left in {place}: {strange}"
            if len(list(place.glob("generation-*"))) > 2:
                yield f"{place}: generations pile up"

    # One case.

    def kill(self, case):
        """The killed --once; False where the program never came to that call."""
        before, policy = self.policies()[case.scenario]
        self.restore(before)
        self.daemon.write(policy)
        option = f"-e trace={case.call} -e inject={case.call}:signal=KILL:when={case.number}"
        self.wrapped.once(self.daemon, {case.program: option})
        trace = self.wrapped.trace(case.program)
        return trace.exists() and "killed by SIGKILL" in trace.read_text()

    def findings(self, case, number):
        before = {} if case.scenario == "first" else self.before
        yield from self.check_files()
        if number % 2:
            self.cluster.process.send_signal(signal.SIGQUIT)
            self.cluster.process.wait(20)
            yield from self.check_postgres(self.cluster, case.scenario != "first")
        else:
            yield from self.check_postgres(self.twin, case.scenario != "first")
            if self.twin.process:
                self.twin.process.send_signal(signal.SIGQUIT)
                self.twin.process.wait(20)
        yield from self.check_finished(case, before)

    def cases(self):
        """Every call of an undisturbed run of each scenario."""
        found = []
        for scenario, (before, policy) in self.policies().items():
            self.restore(before)
            self.daemon.write(policy)
            options = dict.fromkeys(PROGRAMS, f"-e trace={CALLS}")
            self.assertEqual(self.wrapped.once(self.daemon, options), 0, self.daemon.log())
            for program in PROGRAMS:
                calls = self.wrapped.recorded(program)
                self.assertGreater(len(calls), 3, f"{program} was traced")
                found += [Case(scenario, program, *call) for call in calls]
        return found

    def sample(self, cases):
        """Where sets switch, and some of the rest spread over each scenario."""
        chosen = []
        for scenario in self.policies():
            mine = [c for c in cases if c.scenario == scenario]
            chosen += [c for n, c in enumerate(mine) if n % (len(mine) // SAMPLE) == 0 or (
                scenario == "rekey" and c.call.startswith("rename"))]
        return chosen

    def test_each_program_may_die_at_each_call(self):
        begin = time.monotonic()
        self.save("nothing")
        self.daemon.once()
        self.before = {name: self.disk(self.daemon, name) for name in ("server", "app")}
        self.save("issued")
        cases = everything = self.cases()
        if not os.environ.get("PGCERTD_TEST_WHOLE"):
            cases = self.sample(everything)
        for number, case in enumerate(cases):
            if not self.kill(case) and not self.kill(case):
                self.idle.append(case)
                continue
            found = list(self.findings(case, number))
            if found:
                self.harm.append((case, found))
                print(f"{case}: {found}", flush=True)
        kinds = collections.Counter((c.scenario, c.program) for c in cases)
        for (scenario, program), count in kinds.items():
            print(f"{scenario:8} {program:15} {count:4} kills")
        print(f"{len(cases) - len(self.idle)} of {len(everything)} calls killed in "
              f"{time.monotonic() - begin:.0f} s, {len(self.idle)} not reached, "
              f"{len(self.harm)} did harm; spare certificates: {dict(self.spares)}")
        self.assertEqual(self.harm, [])
        self.assertLessEqual(len(self.idle), len(cases) // 20, self.idle)


if __name__ == "__main__":
    harness.main()
