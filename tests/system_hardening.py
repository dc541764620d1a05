"""Each restriction of the units, tried from inside: what a taken-over program of ours could reach."""

import json
import os
import pathlib
import subprocess

import machine
from harness import wait_until
from machine import run, systemctl

SANDBOX = "/run/pgcertd-tests/source/tests/sandbox.py"
EXPOSURE = {"pgcertd.service": 4, "pgcertd-signer.service": 4, "pgcertd-worker@.service": 20}

# What each program does all day; everything else in sandbox.py must fail.
ALLOWED = {
    "pgcertd.service": {"write into the state of pgcertd", "connect to the signer",
                        "connect to the worker of app"},
    "pgcertd-signer.service": {"read the CA key", "write into the state of the signer"},
    "pgcertd-worker@postgres.service": {
        "read the server's key", "write into the server's directory", "connect over the network",
        "see what others put into /tmp"},
    "pgcertd-worker@app.service": {
        "read a client's key", "write into a client's directory", "connect over the network",
        "write into a directory that is made later", "see what others put into /tmp"},
}


class Hardening(machine.Machine):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        machine.write_policy(machine.policy(clients=["app"]))
        systemctl("enable", "--now", "pgcertd-worker@app.socket", "pgcertd")
        wait_until(machine.is_proven, "everything is proven")
        cls.victim = subprocess.Popen(["sleep", "1000"])  # of root
        keys = sorted((machine.SIGNER_STATE / "ca/main").glob("*.key"))
        cls.wanted = {
            "ca_key": keys[0], "server_key": machine.SSL / "server.key",
            "server_directory": machine.SSL, "client_key": "/home/app/.postgresql/postgresql.key",
            "client_directory": "/home/app", "pid": cls.victim.pid, "tmp": "/tmp/x"}
        pathlib.Path("/tmp/x").write_text("for all to see")

    @classmethod
    def tearDownClass(cls):
        cls.victim.kill()

    def attempts(self, unit, **more):
        """What sandbox.py finds in the unit: all its settings, another program."""
        own = {"pgcertd.service": "/var/lib/pgcertd",
               "pgcertd-signer.service": "/var/lib/pgcertd-signer",
               "pgcertd-worker@postgres.service": str(machine.SSL)}.get(unit, "/home/app")
        arguments = " ".join(f"{k}={v}" for k, v in {**self.wanted, "own": own, **more}.items())
        out = pathlib.Path("/run/sandbox.out")
        out.unlink(missing_ok=True)
        folder = pathlib.Path(f"/run/systemd/system/{unit}.d")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sandbox.conf").write_text(
            "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nTimeoutStartSec=60\nExecStart=\n"
            f"ExecStart=/usr/bin/python3 -B {SANDBOX} {arguments}\n"
            f"StandardOutput=truncate:{out}\n")
        systemctl("daemon-reload")
        try:
            systemctl("stop", unit)
            systemctl("start", "--no-block", unit)
            later = more.get("later")
            if later:
                wait_until(lambda: machine.show(unit, "MainPID") != "0", "it runs")
                os.mkdir(later)
                os.chown(later, os.stat(own).st_uid, os.stat(own).st_gid)
            wait_until(lambda: out.exists() and out.read_text().endswith("\n"), "it has tried all", 60)
            return json.loads(out.read_text())
        finally:
            systemctl("stop", unit, check=False)
            (folder / "sandbox.conf").unlink()
            systemctl("daemon-reload")

    def test_each_restriction_holds(self):
        for unit, allowed in ALLOWED.items():
            with self.subTest(unit=unit):
                more = {"later": f"/srv/later-{unit}"} if "app" in unit else {}
                found = self.attempts(unit, **more)
                self.assertGreater(len(found), 20)
                self.assertEqual({name for name, how in found.items() if how == "done"}, allowed,
                                 json.dumps(found, indent=1))

    def test_every_attempt_succeeds_outside_as_root(self):
        arguments = [f"{k}={v}" for k, v in {**self.wanted, "own": "/root", "later": "/root"}.items()]
        found = json.loads(run("/usr/bin/python3", "-B", SANDBOX, *arguments).stdout)
        self.assertEqual({name: how for name, how in found.items() if how != "done"}, {})

    def test_systemd_finds_nothing_to_say(self):
        for unit, exposure in EXPOSURE.items():
            path = f"/usr/lib/systemd/system/{unit}"
            done = run("systemd-analyze", "security", "--offline=true", f"--threshold={exposure}",
                       "--no-pager", path, check=False)
            self.assertEqual(done.returncode, 0, done.stdout)
        done = run("systemd-analyze", "verify", "pgcertd.service", "pgcertd-signer.service",
                   "pgcertd-signer.socket", "pgcertd-worker@app.service",
                   "pgcertd-worker@app.socket", check=False)
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("", "", 0))

    def test_no_process_of_ours_is_root_or_has_a_capability(self):
        systemctl("restart", "pgcertd")
        seen = {}

        def all_seen():
            for _, name, status in machine.processes("status"):
                text = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
                if "test" not in name:
                    seen.setdefault((name, text["Uid"]), set()).update(
                        int(text[name], 16) for name in text if name.startswith("Cap"))
            return {name for name, _ in seen} >= {"pgcertd", "pgcertd-worker", "pgcertd-signer"}

        machine.run("pgcertctl", "renew", "--all", "--no-wait")
        wait_until(all_seen, "all three programs run")
        for (name, users), capabilities in seen.items():
            self.assertNotIn("0", users.split(), name)
            self.assertEqual(capabilities, {0}, name)


if __name__ == "__main__":
    machine.main()
