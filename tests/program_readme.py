"""Every command of README.md is run, in its order, with its paths moved into a scratch directory.

A command that the table below does not know fails the test: who writes one says how it is tried.
"""

import os
import re
import shutil
import stat

import harness
from harness import ME, SOURCE, Scene, run, wait_until

ELSEWHERE = {  # commands that other tests run, and which
    "conf/quickstart": "program_quickstart.py",
    "tests/run": "itself",
    "tests/run --fast": "itself",
}
AS_ROOT = {"systemctl", "journalctl"}  # commands of the installed service: system_readme.py
INSTALLED = {"Install", "A first policy", "Remove"}  # the sections that system_readme.py runs


def blocks(language):
    """Each with the section that it is in."""
    parts = re.split(r"(?m)^## (.*)\n", (SOURCE / "README.md").read_text())
    return [(section, block) for section, text in zip(parts[1::2], parts[2::2])
            for block in re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)]


class Readme(Scene):
    def setUp(self):
        super().setUp()
        self.cluster = self.postgres()
        self.root = self.path("root")
        self.daemon = None
        self.built = os.environ["PGCERTD_BUILD"]
        for place in ("etc/postgresql/15/main/conf.d", "var/lib/postgresql", "etc/pgcertd"):
            (self.root / place).mkdir(parents=True)
        with open(self.cluster.data / "postgresql.conf", "a", encoding="utf-8") as out:
            out.write(f"include_dir = '{self.root}/etc/postgresql/15/main/conf.d'\n")

    def moved(self, text):
        text = text.replace("/var/lib/postgresql/15/main", str(self.cluster.data))
        text = re.sub(r"(?<![\w/.])/(etc|var)/", rf"{self.root}/\1/", text.replace(
            str(self.cluster.data), "@DATA@")).replace("@DATA@", str(self.cluster.data))
        return text.replace("owner: postgres", f"owner: {ME}")

    def test_every_command_runs(self):
        policy = [b for _, b in blocks("yaml") if b.startswith("version: 1")][0]
        (self.root / "etc/pgcertd/pgcertd.yaml").write_text(self.moved(policy))
        commands = [(section, line) for section, block in blocks("sh")
                    for line in block.strip().split("\n")]
        self.assertGreater(len(commands), 10)
        for section, command in commands:
            with self.subTest(command=command):
                self.try_command(section, command)

    def try_command(self, section, command):
        words = command.split()
        if command in ELSEWHERE:
            mode = os.stat(SOURCE / words[0]).st_mode
            self.assertTrue(mode & stat.S_IXUSR, "is executable")
            run("bash", "-n", SOURCE / words[0])
        elif words[0] in AS_ROOT or words[-1] == "uninstall":
            self.assertIn(section, INSTALLED)
            self.assertIn(f'commands("{section}")', (SOURCE / "tests/system_readme.py").read_text())
        elif words[0] == "apt-get":
            self.packages(words[2:])
        elif words[0] in ("meson", "ninja"):
            self.build(words)
        elif words[0] == "pgcertd":
            self.pgcertd_command(words)
        elif words[0] == "pgcertctl":
            self.control(words)
        elif words[0] == "psql":
            conninfo = self.moved(command.split('"')[1]) + " hostaddr=127.0.0.1"
            self.assertEqual(self.cluster.psql(conninfo).stdout.strip(), "1")
        else:
            self.fail(f"README has a command that nobody tries: {command}")

    def packages(self, names):
        """They are the packages that tests/run and conf/quickstart install, too."""
        for script in ("tests/run", "conf/quickstart"):
            listed = re.search(r"(?s)packages=\((.*?)\)",
                               (SOURCE / script).read_text()).group(1).split()
            self.assertEqual([n for n in names if n not in listed], [], script)

    def build(self, words):
        """The release build and its installation; the debug build is what the tests run in."""
        if "build-debug" in words:
            options = [w for w in words[2:] if w.startswith("-D")]
            for option in options:
                self.assertIn(option, (SOURCE / "tests/run").read_text())
            return
        words = [str(self.root / "build") if w == "build" else w for w in words]
        words = [f"--prefix={self.root}/usr" if w.startswith("--prefix=") else w for w in words]
        run(*words, timeout=110, cwd=SOURCE)
        if words[:2] == ["meson", "install"]:
            self.assertTrue((self.root / "usr/sbin/pgcertd").exists())

    def pgcertd_command(self, words):
        done = run(shutil.which("pgcertd", path=f"{self.root}/usr/sbin"), *words[1:], "--policy",
                   self.root / "etc/pgcertd/pgcertd.yaml", env={
                       "PATH": os.environ["PATH"], "STATE_DIRECTORY": f"{self.root}/var/lib/pgcertd",
                       "RUNTIME_DIRECTORY": f"{self.root}/run"})
        self.assertEqual(done.returncode, 0)

    def control(self, words):
        if not self.daemon:
            self.daemon = harness.Pgcertd(self.path("service"), "")
            self.running.append(self.daemon)
            self.daemon.policy_file = self.root / "etc/pgcertd/pgcertd.yaml"
            self.daemon.state = self.root / "var/lib/pgcertd"
            self.daemon.runtime = self.root / "run"
            self.daemon.start()
            wait_until(lambda: self.daemon.ctl(check=False).returncode == 0, "all is proven")
        self.daemon.ctl(*words[1:])


if __name__ == "__main__":
    harness.main()
