"""What pgcertd costs, as ratios to floors that tests/bench measures in the same run.

    meson test -C build --benchmark
    PGCERTD_BUILD=build python3 tests/benchmark.py [Costs.test_NAME ...]

Prints a table and writes it as JSON ($PGCERTD_BENCHMARK_JSON, or benchmark.json in the build
tree). Nothing fails for being slow: the table is for people, and says where an aim is missed.

Files are made in new directories and removed at the end: ext4 is slow where many files were just
deleted, and a directory with the attribute T lies elsewhere on the disk.
"""

import atexit
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import harness
from harness import Load, Scene, program, spawn, wait_until

MANY, ALL = 1000, 10000
ROUNDS = 5
RENEWALS = 25
CONNECTIONS = 4000
IDLE_SECONDS = float(os.environ.get("PGCERTD_BENCHMARK_IDLE", "60"))
REKEY_ALL = "12"  # CONTROL_ALL and CONTROL_REKEY of common/wire_control.h
BUILD = pathlib.Path(os.environ.get("PGCERTD_BUILD", harness.SOURCE / "build"))
BENCH = BUILD / "tests" / "bench"
ROWS = []


def bench(*arguments):
    """One floor, or one request: what it printed, as numbers by name."""
    done = harness.run(BENCH, *arguments, timeout=600)
    return {name: float(value) for name, value in
            (line.split() for line in done.stdout.splitlines())}


def row(work, ours, floor, aim, met, note=""):
    """A finished line; shown at once, for a run takes minutes."""
    ROWS.append({"work": work, "pgcertd": ours, "floor": floor, "aim": aim, "met": bool(met),
                 "note": note})
    print(f"{work}: {ours}, floor {floor}, aim {aim}: {'met' if met else 'MISSED'}; {note}",
          flush=True)


def milliseconds(seconds):
    return f"{1000 * seconds:,.1f} ms"


def ratio_row(work, ours, floor, limit, also=True, note=""):
    """A line about times, by their ratio."""
    ratio = ours / floor
    row(work, f"{milliseconds(ours)} ({ratio:.2f} times)", milliseconds(floor),
        f"{limit:g} times", ratio <= limit and also, note)


def switches(pid):
    """How often any thread of a process has gone to sleep or was sent to."""
    return sum(int(n) for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status")
               for n in re.findall(r"ctxt_switches:\s+(\d+)", status.read_text()))


def private_dirty(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * int(re.search(r"^Private_Dirty:\s+(\d+) kB", text, re.M).group(1))


class Costs(Scene):
    def setUp(self):
        super().setUp()
        top = self.directory
        subprocess.run(["chattr", "+T", str(top)], check=False, capture_output=True)
        self.directory = top / "x"
        self.directory.mkdir()

    def _clean(self):
        for thing in reversed(self.running):
            thing.stop()
        atexit.register(shutil.rmtree, self.directory.parent, ignore_errors=True)

    def fresh(self):
        """A new directory, away from where files were deleted."""
        top = pathlib.Path(tempfile.mkdtemp(prefix="pgb."))
        subprocess.run(["chattr", "+T", str(top)], check=False, capture_output=True)
        atexit.register(shutil.rmtree, top, ignore_errors=True)
        (top / "x").mkdir()
        return top / "x"

    def quiet_policy(self, cluster, n):
        """One server and n - 1 clients; no logins, which come after the proof."""
        policy = self.basic_policy(cluster, clients=[f"app{i}" for i in range(n - 1)])
        del policy["clusters"]["main"]["verify"]
        return policy

    def request(self, daemon, *arguments):
        done = bench("request", daemon.runtime / "control.sock", *arguments)
        self.assertEqual(done["status"], 0, daemon.log()[-3000:])
        return done["seconds"]

    def rest(self, daemon):
        """Until the last request's old generations are removed, and its programs gone."""
        wait_until(lambda: not daemon.children(), "nothing is left to do", 300)

    def begin(self, n):
        """pgcertd with n certificates, all proven, and its PostgreSQL."""
        cluster = self.postgres(roles=())
        daemon = self.pgcertd(self.quiet_policy(cluster, n)).start(900)
        wait_until(lambda: daemon.status()["health"] == 0, "all is proven", 300)
        return cluster, daemon

    def test_1_many(self):
        cluster, daemon = self.begin(MANY)
        floors, times, reloads = [], [], cluster.reloads()
        for _ in range(ROUNDS):
            self.rest(daemon)
            floors.append(bench("issue", MANY, self.fresh())["seconds"])
            times.append(self.request(daemon, REKEY_ALL, "renew"))
        per_round = (cluster.reloads() - reloads) / ROUNDS
        ratio_row(f"{MANY:,} certificates due at once, new keys, durable, proven",
                  statistics.median(times), statistics.median(floors), 1.5, per_round == 1,
                  f"{per_round:g} reload each")

    def start_floor(self):
        """A PostgreSQL that the floor of a renewal reloads, and its directory."""
        cluster = self.postgres("floor", roles=())
        directory = self.fresh()
        cluster.configuration.write_text(
            "ssl = on\n"
            f"ssl_cert_file = '{directory}/current/server.crt'\n"
            f"ssl_key_file = '{directory}/current/server.key'\n")
        return cluster, directory

    def test_2_renewal(self):
        _, daemon = self.begin(2)
        floor_cluster, directory = self.start_floor()
        floor = bench("renew", RENEWALS, directory, floor_cluster.data,
                      floor_cluster.port)["seconds"]
        times = []
        for _ in range(RENEWALS):
            self.rest(daemon)
            times.append(self.request(daemon, "0", "renew", "server"))
        syncs = self.count_syncs(daemon)
        ratio_row("one renewal, from the request to proven", statistics.median(times), floor, 1.5,
                  syncs <= 4, f"{syncs} syncs (at most 4)")

    def count_syncs(self, daemon):
        """The syncs of one renewal, in all three programs."""
        trace = self.path("trace")
        tracer = spawn(["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,syncfs,sync",
                        "-p", str(daemon.process.pid), "-o", str(trace)], self.path("strace.log"))
        wait_until(trace.exists, "strace is there")
        time.sleep(1)
        self.request(daemon, "0", "renew", "server")
        tracer.terminate()
        tracer.wait(10)
        # A call that another process's interrupts is told in two lines.
        return len(re.findall(r"^\d+ +(?:sync|syncfs|fsync|fdatasync)\(", trace.read_text(), re.M))

    def published_list(self, daemon):
        """The files of all sets, one path a line."""
        names = {"server": ("server-cert.pem", "server-key.pem", "ca-cert.pem"),
                 "client": ("postgresql.crt", "postgresql.key", "root.crt")}
        path = self.path("list")
        path.write_text("".join(
            f"{certificate['directory']}/current/{name}\n"
            for certificate in daemon.policy["certificates"].values()
            for name in names[certificate["use"]]))
        return path

    def test_3_ten_thousand(self):
        _, daemon = self.begin(ALL)
        paths = self.published_list(daemon)
        digest = [bench("digest", paths)["seconds"] for _ in range(ROUNDS)]
        check = [self.request(daemon, "0", "check") for _ in range(ROUNDS)]
        ratio_row(f"a pass over {ALL:,} unchanged certificates", statistics.median(check),
                  statistics.median(digest), 2)
        self.idle(daemon)
        daemon.stop()
        parse, plan = [], []
        for _ in range(ROUNDS):
            parse.append(bench("parse", paths)["seconds"])
            begin = time.monotonic()
            daemon.run("--plan")
            plan.append(time.monotonic() - begin)
        ratio_row(f"start and first plan with {ALL:,}", statistics.median(plan),
                  statistics.median(parse), 1.3)

    def idle(self, many):
        """Three processes that have nothing to do, in the same minute."""
        _, one = self.begin(1)
        floor = spawn([str(BUILD / "tests" / "bench_idle"), str(one.policy_file)],
                      self.path("floor.log"))
        self.addCleanup(floor.kill)
        for daemon in (one, many):
            wait_until(lambda d=daemon: not d.children(), "worker and signer are gone", 10)
        time.sleep(1)
        processes = {"one": one.process, "many": many.process, "floor": floor}
        traces = {name: self.path(f"idle-{name}") for name in processes}
        tracers = [spawn(["strace", "-f", "-qq", "-p", str(process.pid), "-o", str(traces[name])],
                         self.path("strace.log")) for name, process in processes.items()]
        time.sleep(1)
        before = {name: switches(process.pid) for name, process in processes.items()}
        time.sleep(IDLE_SECONDS)
        woken = {name: switches(process.pid) - before[name] for name, process in processes.items()}
        for tracer in tracers:
            tracer.terminate()
            tracer.wait(10)
        # The call that it slept in shows once, as strace came.
        calls = {name: max(0, len(trace.read_text().splitlines()) - 1) if trace.exists() else -1
                 for name, trace in traces.items()}
        os.sync()  # a program that was just linked has dirty pages of its file in the cache
        memory = {name: private_dirty(process.pid) for name, process in processes.items()}
        for name, n, limit, aim in (
                ("one", 1, 1.5 * memory["floor"], "1.5 times"),
                ("many", ALL, 1.5 * memory["floor"] + 512 * (ALL - 1), "and 512 bytes each")):
            row(f"idle for {IDLE_SECONDS:g} s with {n:,}",
                f"{woken[name]} wake-ups, {calls[name]} system calls, "
                f"{memory[name] // 1024:,} KiB",
                f"{woken['floor']}, {calls['floor']}, {memory['floor'] // 1024:,} KiB",
                f"0, 0, {aim}", woken[name] == 0 and calls[name] == 0 and memory[name] <= limit,
                f"{memory[name] / memory['floor']:.2f} times" if n == 1 else
                f"{(memory[name] - memory['one']) / (ALL - 1):.0f} bytes each")

    def test_4_connections(self):
        cluster = self.postgres()
        daemon = self.pgcertd(self.basic_policy(cluster)).start()
        wait_until(lambda: daemon.status()["health"] == 0, "all is proven")
        renewals, end = [], threading.Event()

        def renew():
            while not end.is_set():
                renewals.append(self.request(daemon, "0", "renew", "app"))
        renewer = threading.Thread(target=renew)
        with Load([f"{self.conninfo(daemon)} port={cluster.port}"]) as ours:
            renewer.start()
            wait_until(lambda: ours.connections >= CONNECTIONS, "connections", 600)
        end.set()
        renewer.join()
        floor = self.swapped(daemon, cluster, statistics.median(renewals))
        row("failed connections while the client's pair renews as fast as it can",
            f"{len(ours.failures)} of {ours.connections:,}",
            f"{len(floor.failures)} of {floor.connections:,}", "0",
            not ours.failures and floor.failures, f"{len(renewals)} renewals")

    def swapped(self, daemon, cluster, pause):
        """The same load on a pair that is renamed one file after the other, as often."""
        published = pathlib.Path(daemon.policy["certificates"]["app"]["directory"])
        directory = self.fresh()
        for kind in ("crt", "key"):
            shutil.copy(published / f"postgresql.{kind}", directory / f"a.{kind}")
        self.request(daemon, "8", "renew", "app")
        for kind in ("crt", "key"):
            shutil.copy(published / f"postgresql.{kind}", directory / f"b.{kind}")
            shutil.copy(directory / f"a.{kind}", directory / f"postgresql.{kind}")
        shutil.copy(published / "root.crt", directory)
        conninfo = self.conninfo(daemon).replace(str(published), str(directory))
        swapper = spawn([str(BENCH), "swap", str(directory), f"{pause * 1e6:.0f}"],
                        self.path("swap.log"))
        try:
            with Load([f"{conninfo} port={cluster.port}"]) as load:
                wait_until(lambda: load.connections >= CONNECTIONS, "connections", 600)
        finally:
            swapper.kill()
        return load

    def instructions(self, *arguments, directory):
        """All that callgrind counts below one command."""
        harness.run("valgrind", "--tool=callgrind", "--trace-children=yes",
                    f"--callgrind-out-file={directory}/out.%p", *arguments, timeout=600)
        return self.counted(directory)

    @staticmethod
    def counted(directory):
        return sum(int(re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.M).group(1))
                   for out in directory.glob("out.*"))

    def issue_counted(self, n):
        """Issues n certificates with worker and signer under callgrind."""
        place, out = self.fresh(), self.fresh()
        shutil.copy(program("pgcertd"), place)
        for name in ("pgcertd-worker", "pgcertd-signer"):
            script = place / name
            script.write_text("#!/bin/sh\nexec valgrind -q --tool=callgrind "
                              f"--callgrind-out-file={out}/out.%p {program(name)} \"$@\"\n")
            script.chmod(0o755)
        cluster = self.postgres("none", start=False)
        policy = self.quiet_policy(cluster, n)
        del policy["clusters"]
        daemon = self.pgcertd(policy)
        harness.run(place / "pgcertd", *daemon.arguments("--once")[1:], timeout=600)
        return self.counted(out)

    def test_5_instructions(self):
        if not shutil.which("valgrind"):
            self.skipTest("valgrind counts instructions")
        # The difference leaves out what a start costs. Few enough for one batch: while callgrind has
        # the signer sign more, the worker would end for having nothing to do, and start again.
        few, more = 2, 14
        ours = (self.issue_counted(more) - self.issue_counted(few)) / (more - few)
        floor = (self.instructions(BENCH, "issue", str(more), directory=self.fresh()) -
                 self.instructions(BENCH, "issue", str(few), directory=self.fresh())) / (more - few)
        row("instructions per issued certificate, worker and signer",
            f"{ours / 1e6:.2f} million ({ours / floor:.2f} times)", f"{floor / 1e6:.2f} million",
            "3 times", ours <= 3 * floor)

    def test_6_ahead(self):
        done = harness.run(BUILD / "tests" / "bench_ahead", timeout=600)
        took = {name: float(value) for name, value in
                (line.split() for line in done.stdout.splitlines())}
        ratio_row("plan of 10,000 certificates, beside the sorting of 10,000 dates", took["plan"],
                  took["sort"], 20)
        row("plan --until 10y of 100 certificates", milliseconds(took["ahead"]), "none",
            "20 ms", took["ahead"] <= 0.02, f"{took['rows']:,.0f} steps")
        row("simulated lives of 20 policies", f"{took['years'] / took['lives']:,.0f} years a second",
            "none", "67 years a second", took["years"] / took["lives"] >= 4000 / 60,
            f"{took['years']:,.0f} years, real certificates")


def table():
    """Markdown, as the README has it."""
    lines = ["| work | pgcertd | floor, same run | aim | |", "|---|---|---|---|---|"]
    for item in ROWS:
        verdict = "met" if item["met"] else "missed"
        note = f"{item['note']}; {verdict}" if item["note"] else verdict
        lines.append(f"| {item['work']} | {item['pgcertd']} | {item['floor']} | {item['aim']} "
                     f"| {note} |")
    return "\n".join(lines)


def write_json():
    wanted = pathlib.Path(os.environ.get("PGCERTD_BENCHMARK_JSON", BUILD / "benchmark.json"))
    place = wanted if os.access(wanted.parent, os.W_OK) else (
        pathlib.Path(tempfile.gettempdir()) / f"pgcertd-benchmark-{os.getpid()}.json")
    place.write_text(json.dumps({
        "version": 1, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "rows": ROWS}, indent=1) + "\n")
    return place


if __name__ == "__main__":
    run = unittest.main(verbosity=1, exit=False)
    print(f"\n{table()}\n\nwritten to {write_json()}")
    sys.exit(not run.result.wasSuccessful())
