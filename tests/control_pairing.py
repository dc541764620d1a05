"""The control commands: pgcertctl, pgcertd and pgcertctl(1) hold the same set, options too."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

SOURCE = pathlib.Path(os.environ.get("PGCERTD_SOURCE") or pathlib.Path(__file__).parents[1])
BUILD = os.environ.get("PGCERTD_BUILD")


class Pairing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not BUILD:
            raise unittest.SkipTest("PGCERTD_BUILD names no build")
        cls.program = os.path.join(BUILD, "daemon", "pgcertctl")
        cls.help = subprocess.run([cls.program, "--help"], capture_output=True, text=True,
                                  check=True).stdout
        cls.page = (SOURCE / "man/pgcertctl.1").read_text()

    def commands(self):
        part = self.help.partition("Commands")[2].partition("\n\n")[0]
        return re.findall(r"^  (\w[\w-]*) +\S", part, re.M)

    def options(self):
        return re.findall(r"^  (--[\w-]+)", self.help.partition("Options:")[2], re.M)

    def test_commands(self):
        """Every command has its entry in the manual, and the manual names no other."""
        self.assertIn("status", self.commands())
        self.assertEqual(sorted(self.commands()), sorted(re.findall(r"^\.It Cm (\S+)", self.page,
                                                                    re.M)))
        synopsis = self.page.partition(".Sh SYNOPSIS")[2].partition(".Sh")[0]
        named = set(re.findall(r"\w+", " ".join(re.findall(r"Cm (.*)", synopsis)))) - {"probe"}
        self.assertEqual(sorted(self.commands()), sorted(named))

    def test_daemon(self):
        """pgcertd answers exactly these."""
        table = re.search(r"\} commands\[\] = \{(.*?)\n\};",
                          (SOURCE / "daemon/answer.c").read_text(), re.S).group(1)
        self.assertEqual(sorted(self.commands()), sorted(re.findall(r'\{"(\w+)"', table)))

    def test_options(self):
        """The same for options."""
        self.assertIn("--json", self.options())
        before, _, rest = self.page.partition(".Ss PROBE")
        entries = [f"-{name}" for name in
                   re.findall(r"^\.It Fl (-[\w-]+)", before + rest.partition("\n.S")[2], re.M)]
        self.assertEqual(sorted(self.options()), sorted(entries))

    def test_probe(self):
        """The probe's options, which are its own."""
        text = subprocess.run([self.program, "probe", "--help"], capture_output=True, text=True,
                              check=True).stdout
        part = self.page.partition(".Ss PROBE")[2].partition("\n.S")[0]
        entries = [f"-{name}" for line in re.findall(r"^\.It Fl (.*)", part, re.M)
                   for name in re.findall(r"-[a-z]+", line)]
        self.assertEqual(sorted(re.findall(r"^  (--[a-z]+)", text, re.M)), sorted(entries))

    def test_completion(self):
        """In bash, what --help has is what can be completed."""
        folder = SOURCE / "conf/completions"

        def complete(*words):
            script = (f"source {folder}/bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); "
                      "_pgcertd \"$1\"; printf '%s\\n' \"${COMPREPLY[@]}\"")
            done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True,
                                  text=True, check=True)
            return sorted(done.stdout.split())

        self.assertEqual(complete(self.program, ""), sorted(self.commands() + ["probe"]))
        self.assertEqual(complete(self.program, "ren"), ["renew"])
        self.assertEqual(complete(self.program, "renew", "--"), sorted(self.options()))
        self.assertIn("--check", complete(os.path.join(BUILD, "daemon", "pgcertd"), "--ch"))
        self.assertIn(str(folder / "zsh"), complete(self.program, "--policy", f"{folder}/z"))

    @unittest.skipUnless(shutil.which("zsh"), "zsh reads its completion where it is there")
    def test_completion_for_zsh(self):
        subprocess.run(["zsh", "-n", SOURCE / "conf/completions/zsh"], check=True)

    @unittest.skipUnless(shutil.which("fish"), "fish reads its completion where it is there")
    def test_completion_for_fish(self):
        subprocess.run(["fish", "-n", SOURCE / "conf/completions/fish"], check=True)

    def test_table(self):
        """What the manual names is what the program takes."""
        for command in self.commands():
            arguments = [command] + {"renew": ["--all"], "adopt": ["server"], "rotate": ["main"],
                                     "bundle": ["main"]}.get(command, [])
            done = subprocess.run([self.program, "--runtime-dir", "/nonexistent", *arguments],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 3)
            self.assertIn("cannot reach pgcertd", done.stderr, command)


if __name__ == "__main__":
    unittest.main()
