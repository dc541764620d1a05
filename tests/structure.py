"""How the source hangs together: modules and their levels, libraries, clocks and size.

Every test reads the tree at PGCERTD_SOURCE (default: the parent of this directory); `linked` also
needs the programs at PGCERTD_BUILD.
"""

import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ.get("PGCERTD_SOURCE") or pathlib.Path(__file__).parents[1])
BUILD = os.environ.get("PGCERTD_BUILD")
PROGRAMS = ["pgcertd", "pgcertd-worker", "pgcertd-signer", "pgcertctl"]

# A module includes only modules of its own level or a lower one. Level by level, the lowest first.
LEVELS = [
    "common/macro common/events common/arena common/utf8 common/error",
    "common/log common/lock common/clock common/text common/pem common/duration common/fdio common/keytype common/nearest",
    "common/yaml* common/message common/wire* common/crypto common/key common/cert common/crl",
    "common/csr common/extension common/profile common/policy* common/authority common/health common/observation common/program",
    "daemon/clockstep daemon/repair daemon/leftover daemon/memory daemon/step daemon/proof "
    "daemon/issuer daemon/bundle daemon/evidence daemon/emergency daemon/lineage daemon/prospect daemon/rollover "
    "daemon/due daemon/draft daemon/draftrow daemon/task daemon/plan daemon/forecast daemon/timeline daemon/historyline daemon/record "
    "daemon/takeover daemon/consent daemon/table daemon/instance daemon/wake daemon/notify "
    "daemon/sockets daemon/worker/* "
    "daemon/signer/*",
    "daemon/peer daemon/survey daemon/work daemon/succession daemon/batch daemon/issuance "
    "daemon/usable daemon/delivery daemon/putback "
    "daemon/handover daemon/handing "
    "daemon/pass daemon/report* daemon/rotation daemon/metrics daemon/finding",
    "daemon/state daemon/news daemon/requests daemon/runner daemon/keeper",
    "daemon/control* daemon/waiting daemon/answer*",
    "daemon/pgcertd daemon/ctl/*",
]

# Who may use an outside library's headers.
OWNERS = {
    "libpq-fe.h": "daemon/worker/session",
    "yaml.h": "common/yaml*",
    "openssl/ssl.h": "daemon/worker/handshake daemon/worker/view",
    "openssl/": "common/crypto common/key common/cert common/crl common/csr common/extension "
                "common/profile daemon/worker/generation daemon/worker/staging "
                "daemon/worker/preflight daemon/worker/handshake daemon/worker/view "
                "daemon/worker/probe* daemon/worker/pair daemon/worker/verification "
                "daemon/signer/*",
    "systemd/sd-journal.h": "common/log",
    "systemd/sd-event.h": "daemon/keeper daemon/control* daemon/pgcertd daemon/peer daemon/pass",
    "systemd/sd-daemon.h": "common/program daemon/pgcertd daemon/notify",
    "systemd/sd-id128.h": "daemon/pgcertd common/log",
}

# Who reads a clock: one module. Who waits: nobody but by poll() and timers.
CLOCKS = r"\b(time|gettimeofday|clock_gettime|timespec_get|localtime(_r)?|X509_cmp_current_time" \
         r"|X509_gmtime_adj|X509_cmp_timeframe|OCSP_check_validity|sd_event_now)\s*\("
SLEEPS = r"\b(sleep|usleep|nanosleep|clock_nanosleep)\s*\("
SLEEPERS = {
    "daemon/worker/postmaster.c",  # a pid file that is being written is read again
    "daemon/worker/handshake.c",  # gentle looks until the leaf is served
    "daemon/worker/generation.c",  # a lock is tried again for up to 5 s
    "common/fdio.c",
}

FILE_LINES = 600
FUNCTION_LINES = 80


def sources(*folders):
    found = []
    for folder in folders or ("common", "daemon", "tests"):
        found += sorted(p for p in (SOURCE / folder).rglob("*.[ch]"))
    return found


def relative(path):
    return str(path.relative_to(SOURCE))


def module(path):
    return os.path.splitext(relative(path) if isinstance(path, pathlib.Path) else path)[0]


def fits(name, patterns):
    """Whether a module is named by one of the patterns; a star stands for any rest of a name."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns.split())


def level(name):
    for number, patterns in enumerate(LEVELS):
        if fits(name, patterns):
            return number
    return None


def includes(path, outside=False):
    pattern = r'^\s*#\s*include\s+%s' % (r"<([^>]+)>" if outside else r'"([^"]+)"')
    return re.findall(pattern, path.read_text(), re.M)


def code(path):
    """The file without comments and string contents, with its line structure."""
    def blank(match):
        text = match.group(0)
        return re.sub(r"[^\n]", " ", text) if text[0] == "/" else '""'
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, path.read_text(), flags=re.S)


def functions(path):
    """(name, lines) of each function; clang-format leaves its braces alone in column one."""
    start, name = None, ""
    for number, line in enumerate(path.read_text().split("\n"), 1):
        heading = re.match(r"[A-Za-z_].*?(\w+)\(", line)
        if heading and not line.endswith(";"):
            name, heading_line = heading.group(1), number
        if line == "{" and name:
            start = heading_line
        if line == "}" and start:
            yield name, number - start + 1
            start, name = None, ""


class Structure(unittest.TestCase):
    maxDiff = None

    def none(self, findings, what):
        self.assertFalse(findings, what + ":\n  " + "\n  ".join(findings))

    def test_format(self):
        """clang-format has nothing to change."""
        program = shutil.which("clang-format")
        if not program:
            self.skipTest("no clang-format")
        files = sources()
        self.assertTrue(files)
        done = subprocess.run([program, "--dry-run", "-Werror", "--style=file", *files],
                              cwd=SOURCE, capture_output=True, text=True)
        self.none(sorted(set(re.findall(r"^(\S+?):\d+:\d+: error: code should be", done.stderr, re.M))),
                  "to be formatted: clang-format -i")
        self.assertEqual(done.returncode, 0, done.stderr[:4000])

    def test_levels(self):
        """Every module is in the table and includes nothing above itself."""
        findings = []
        for path in sources("common", "daemon"):
            mine = level(module(path))
            if mine is None:
                findings.append(f"{relative(path)}: not in the table LEVELS")
                continue
            for include in includes(path):
                other = level(module(include))
                if other is None or other > mine:
                    findings.append(f"{relative(path)} (level {mine}) includes {include} ({other})")
                elif re.match(r"daemon/(worker|signer|ctl)/", include) and \
                        os.path.dirname(include) != os.path.dirname(relative(path)):
                    findings.append(f"{relative(path)}: {include} belongs to another program")
                elif re.match(r"daemon/(worker|signer|ctl)/", relative(path)) and \
                        re.match(r"daemon/(?!control_call)\w+\.h", include):
                    findings.append(f"{relative(path)}: {include} belongs to pgcertd itself")
        self.none(findings, "includes against the levels")

    def test_cycles(self):
        """No two modules include each other, directly or by way of others."""
        edges = {}
        for path in sources("common", "daemon"):
            edges.setdefault(module(path), set()).update(
                module(i) for i in includes(path) if module(i) != module(path))
        state, cycles = {}, []

        def visit(name, trail):
            state[name] = "open"
            for other in sorted(edges.get(name, ())):
                if state.get(other) == "open":
                    cycles.append(" -> ".join(trail[trail.index(other):] + [other]))
                elif other not in state:
                    visit(other, trail + [other])
            state[name] = "done"

        for name in sorted(edges):
            if name not in state:
                visit(name, [name])
        self.none(cycles, "include cycles")

    def test_libraries(self):
        """An outside library has one owner, or the few that the table names."""
        findings = []
        for path in sources("common", "daemon"):
            for include in includes(path, outside=True):
                for header in sorted(OWNERS, key=len, reverse=True):
                    if include == header or (header.endswith("/") and include.startswith(header)):
                        if not fits(module(path), OWNERS[header]):
                            findings.append(f"{relative(path)} includes <{include}>")
                        break
                else:
                    if re.match(r"(systemd|openssl|libpq|pg_|postgres)", include):
                        findings.append(f"{relative(path)} includes <{include}>: no owner named")
        self.none(findings, "libraries used outside of their owners")

    def test_linked(self):
        """pgcertd and pgcertctl link neither libcrypto nor libpq; the signer has no network."""
        if not BUILD:
            self.skipTest("PGCERTD_BUILD names no build")
        banned = {
            "pgcertd": "libcrypto libssl libpq",
            "pgcertctl": "libcrypto libssl libpq",
            "pgcertd-signer": "libssl libpq",
        }
        findings = []
        for program in PROGRAMS:
            done = subprocess.run(["readelf", "-d", os.path.join(BUILD, "daemon", program)],
                                  capture_output=True, text=True, check=True)
            needed = re.findall(r"\(NEEDED\).*\[(.*?)\]", done.stdout)
            self.assertTrue(needed, f"readelf says nothing of {program}")
            for library in banned.get(program, "").split():
                if any(n.startswith(library + ".so") for n in needed):
                    findings.append(f"{program} links {library}")
        self.none(findings, "linked against the promise")

    def test_clocks(self):
        """Only common/clock reads a clock, OpenSSL's hidden reads included; nobody sleeps."""
        findings = []
        for path in sources("common", "daemon"):
            for number, line in enumerate(code(path).split("\n"), 1):
                where = f"{relative(path)}:{number}: {line.strip()}"
                if re.search(CLOCKS, line) and relative(path) != "common/clock.c":
                    findings.append(where)
                if re.search(SLEEPS, line) and relative(path) not in SLEEPERS:
                    findings.append(where)
                if re.search(r"X509_time_adj(_ex)?\s*\(.*\bNULL\s*\)", line):
                    findings.append(where + "  (NULL means now)")
            text = code(path)
            if re.search(r"X509_verify_cert\s*\(", text) and \
                    not re.search(r"X509_(VERIFY_PARAM|STORE_CTX)_set_time\s*\(", text):
                findings.append(f"{relative(path)}: X509_verify_cert() without a set time")
        self.none(findings, "hidden clocks and sleeps")

    def test_budget(self):
        """No file above 600 lines, no function above 80."""
        findings = []
        for path in sources():
            lines = path.read_text().count("\n")
            if lines > FILE_LINES:
                findings.append(f"{relative(path)}: {lines} lines")
            if path.suffix == ".c":
                findings += [f"{relative(path)}: {name}() has {n} lines"
                             for name, n in functions(path) if n > FUNCTION_LINES]
        self.none(findings, "over the budget")

    def test_budget_sees(self):
        """The counting above finds the functions at all."""
        sizes = [n for path in sources("common", "daemon") for _, n in functions(path)]
        self.assertGreater(len(sizes), 20)
        self.assertGreater(max(sizes), 5)

    def test_banned(self):
        """No call that has no bound, guesses a temporary name, runs a shell or hides an error."""
        findings = []
        for path in sources("common", "daemon"):
            for number, line in enumerate(code(path).split("\n"), 1):
                if re.search(r"\b(alloca|strcat|sprintf|vsprintf|gets|tmpnam|mktemp|system"
                             r"|popen|strtok|atoi)\s*\(", line):
                    findings.append(f"{relative(path)}:{number}: {line.strip()}")
        self.none(findings, "banned calls")

    def test_manual(self):
        """Manual pages are lint-clean and are installed."""
        pages = sorted((SOURCE / "man").glob("*.[1-9]"))
        self.assertTrue(pages)
        if not shutil.which("mandoc"):
            self.skipTest("no mandoc")
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages],
                              cwd=SOURCE, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        installed = (SOURCE / "man/meson.build").read_text()
        self.none([p.name for p in pages if f"'{p.name}'" not in installed],
                  "pages that are not installed")

    def test_events(self):
        """Message ids are well formed, unique, and every one is told somewhere."""
        text = (SOURCE / "common/events.h").read_text()
        events = re.findall(r'^#define (EVENT_\w+) "(.*)"$', text, re.M)
        self.assertGreater(len(events), 10)
        self.none([n for n, i in events if not re.fullmatch(r"[0-9a-f]{32}", i)], "malformed ids")
        ids = [i for _, i in events]
        self.none([n for n, i in events if ids.count(i) > 1], "ids used twice")
        programs = "\n".join(p.read_text() for p in sources("common", "daemon")
                             if p.name != "events.h")
        self.none([n for n, _ in events if not re.search(rf"\b{n}\b", programs)],
                  "ids that nobody tells")

    def test_catalog(self):
        """Each event is explained by `journalctl -x`, and nothing else is; each field is documented."""
        events = dict(re.findall(r'^#define (EVENT_\w+) "(.*)"$',
                                 (SOURCE / "common/events.h").read_text(), re.M))
        catalog = (SOURCE / "systemd/pgcertd.catalog").read_text()
        entries = dict(re.findall(r"(?ms)^-- ([0-9a-f]{32})\n(.*?)(?=^-- |\Z)", catalog))
        self.none(sorted(n for n, i in events.items() if i not in entries), "not in the catalog")
        self.none(sorted(set(entries) - set(events.values())), "in the catalog, and no event")
        self.none([i for i in entries if catalog.count(f"-- {i}") > 1], "twice in the catalog")
        for what, pattern in (("a subject", r"\ASubject: [^\n]+\nDefined-By: pgcertd\n"),
                              ("what it means for connections", r"onnections\b"),
                              ("a command", r'"(pgcertctl|pgcertd\s--check|systemctl|timedatectl)')):
            self.none([i for i, text in entries.items() if not re.search(pattern, text)],
                      f"entries without {what}")
        programs = "\n".join(p.read_text() for p in sources("common", "daemon"))
        fields = set(re.findall(r'\{"(PGCERTD_[A-Z_]+)",', programs))
        self.none(sorted(set(re.findall(r"@(\w+)@", catalog)) - fields), "fields that nobody tells")
        manual = (SOURCE / "man/pgcertd.8").read_text()
        self.none([f for f in sorted(fields) if f".It Li {f}" not in manual], "not in pgcertd(8)")

    def test_places(self):
        """No file names a place that exists on one machine only."""
        findings = []
        for path in sorted(SOURCE.rglob("*")):
            parts = path.relative_to(SOURCE).parts
            if parts[0] in (".git", "__pycache__") or parts[0].startswith("build") or \
                    "__pycache__" in parts or not path.is_file() or path.stat().st_size > 1 << 20:
                continue
            text = path.read_text(errors="replace")
            for number, line in enumerate(text.split("\n"), 1):
                if re.search(r"(?<![\w.])/(work|root|home/\w+)/\w", line) and \
                        path.name != "structure.py":
                    findings.append(f"{relative(path)}:{number}: {line.strip()[:80]}")
        self.none(findings, "a developer's own paths")


if __name__ == "__main__":
    unittest.main()
