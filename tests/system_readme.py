"""README's installation and removal, command by command, on a machine where nothing is installed."""

import os
import pathlib
import re
import shutil

import machine
from harness import wait_until
from machine import run, served

INSTALLS_ITSELF = True  # for boot.py

SOURCE = pathlib.Path(os.environ["PGCERTD_SOURCE"])
BUILD = os.environ["PGCERTD_BUILD"]
README = (SOURCE / "README.md").read_text()
INSTALLED = ("usr/sbin/pgcertd", "usr/lib/systemd/system/pgcertd.service",
             "usr/lib/sysusers.d/pgcertd.conf", "usr/lib/tmpfiles.d/pgcertd.conf",
             "usr/lib/systemd/catalog/pgcertd.catalog", "usr/share/man/man8/pgcertd.8",
             "usr/share/pgcertd/pgcertd.schema.json", "usr/share/pgcertd/pgcertd.example.yaml",
             "usr/share/bash-completion/completions/pgcertctl",
             "usr/share/zsh/site-functions/_pgcertd",
             "usr/share/fish/vendor_completions.d/pgcertctl.fish",
             "usr/lib/systemd/system/postgresql@.service.d/pgcertd.conf")


def commands(section):
    """The commands of a section; the build itself is what program_readme.py does."""
    text = README.partition(f"## {section}\n")[2].partition("\n## ")[0]
    found = [line for block in re.findall(r"(?ms)^```sh\n(.*?)^```$", text)
             for line in block.strip().split("\n")]
    return [c for c in found if not c.startswith(("apt-get ", "meson setup ", "pgcertctl", "psql "))]


def shell(command):
    return run("bash", "-c", command.replace("-C build", f"-C {BUILD}").replace(
        "meson install", "meson install --no-rebuild"), timeout=120)


def of_postgresql():
    """What there is of PostgreSQL's own files, but for what a running server writes."""
    return run("find", machine.CLUSTER, "/etc/postgresql-common", "-printf", "%p %m %u %T@ %l\n").stdout


class Readme(machine.Machine):

    @classmethod
    def setUpClass(cls):
        machine.make_user("app")
        machine.start_postgres()
        machine.make_sql_roles("app")

    def test_1_the_real_installation_is_five_commands(self):
        text = README.partition("## Install\n")[2].partition("\n## ")[0]
        blocks = re.findall(r"(?ms)^```sh\n(.*?)^```$", text)[:2]
        self.assertLessEqual(sum(len(b.strip().split("\n")) for b in blocks), 5)

    def test_2_installing_starts_nothing_and_touches_no_postgresql(self):
        before = of_postgresql()
        self.assertEqual([p for p in INSTALLED if os.path.exists("/" + p)], [])
        shell(commands("Install")[0])
        self.assertEqual([p for p in INSTALLED if not os.path.exists("/" + p)], [])
        self.assertEqual(of_postgresql(), before)
        self.assertEqual(run("systemctl", "list-units", "--no-legend", "pgcertd*.service",
                             "pgcertd*.socket").stdout.strip(), "")
        run("getent", "passwd", "pgcertd", "pgcertd-signer")

    def test_3_every_other_command_of_the_installation_runs(self):
        policy = re.findall(r"(?ms)^```yaml\n(version: 1.*?)^```$", README)[0]
        machine.write_policy(policy.replace("postgresql/15/", f"postgresql/{machine.MAJOR}/"))
        for command in commands("Install")[1:] + commands("A first policy"):
            with self.subTest(command=command):
                shell(command)
        wait_until(machine.is_proven, "everything is proven")
        self.assertEqual(served(), machine.leaf(machine.CLUSTER / "tls")["sha256"])
        for command in re.findall(r"(?m)^pgcertctl.*$|^psql .*$", README):
            run("runuser", "-u", "postgres", "--", "bash", "-c", command) \
                if command.startswith("psql") else shell(command)

    def test_4_whoever_is_in_the_group_may_ask(self):
        done = run("runuser", "-u", "app", "--", "pgcertctl", check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn("usermod -aG pgcertd", done.stderr)
        run("usermod", "-aG", "pgcertd", "app")
        run("runuser", "-u", "app", "--", "pgcertctl")

    def test_5_postgresql_goes_on_without_it(self):
        before = served()
        for command in commands("Remove"):
            with self.subTest(command=command):
                shell(command)
        self.assertEqual([p for p in INSTALLED if os.path.exists("/" + p)], [])
        self.assertIsNone(shutil.which("pgcertctl"))
        self.assertEqual(served(), before)
        machine.systemctl("restart", machine.POSTGRES_UNIT)
        wait_until(lambda: served() == before, "PostgreSQL serves it after a restart, too")
        self.assertTrue((machine.SIGNER_STATE / "ca").exists())


if __name__ == "__main__":
    machine.main()
