"""Several owners on one machine, each with its own worker; one of them hostile."""

import contextlib
import grp
import os
import pathlib
import pwd
import subprocess

import machine
from harness import wait_until
from machine import as_user, client, policy, run, served, sql, status, systemctl

HOSTILE = """
cd /home/app
while :; do
  for kind in link fifo huge hard gone; do
    rm -rf /home/app/.postgresql
    case $kind in
    link) ln -s /etc/postgresql/ssl /home/app/.postgresql ;;
    fifo) mkdir /home/app/.postgresql; mkfifo /home/app/.postgresql/postgresql.crt \
        /home/app/.postgresql/current ;;
    huge) mkdir /home/app/.postgresql; truncate -s 8G /home/app/.postgresql/postgresql.crt
        mkdir /home/app/.postgresql/generation-1
        truncate -s 8G /home/app/.postgresql/generation-1/manifest ;;
    hard) mkdir /home/app/.postgresql; ln /tmp/others /home/app/.postgresql/postgresql.key
        ln -s /var/lib/pgcertd-signer /home/app/.postgresql/current ;;
    gone) : ;;
    esac
    echo $kind >>rounds
  done
done
"""


def mode_and_owner(path):
    state = os.lstat(path)
    return f"{state.st_mode & 0o7777:o} {pwd.getpwuid(state.st_uid).pw_name}"


class Owners(machine.Machine):
    users = ("app", "billing")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        pathlib.Path("/srv/billing").mkdir()
        machine.shutil.chown("/srv/billing", "billing")

    def tearDown(self):
        super().tearDown()
        self.reset()
        for name in ("tls", "pooler"):
            machine.shutil.rmtree(f"/srv/billing/{name}", ignore_errors=True)

    def three(self):
        value = policy(clients=["app"])
        value["certificates"]["billing"] = client("billing", directory="/srv/billing/tls")
        value["clusters"]["main"]["verify"]["as"].append("billing")
        return value

    def test_three_owners_each_have_their_own_files_and_worker(self):
        machine.write_policy(self.three())
        self.enable("app", "billing")
        self.await_proven()
        self.assertEqual(mode_and_owner(machine.SSL / "server.key"), "777 postgres")  # a link
        for path, expected in ((machine.SSL / "current/server.key", "600 postgres"),
                               ("/home/app/.postgresql/current/postgresql.key", "600 app"),
                               ("/srv/billing/tls/current/postgresql.key", "600 billing")):
            self.assertEqual(mode_and_owner(path), expected)
        for other, path in (("billing", "/home/app/.postgresql/postgresql.key"),
                            ("postgres", "/home/app/.postgresql/postgresql.key"),
                            ("app", machine.SSL / "server.key"),
                            ("pgcertd", "/srv/billing/tls/postgresql.key")):
            self.assertNotEqual(as_user(other, "cat", path, check=False).returncode, 0, (other, path))

    def test_a_key_may_be_its_groups_where_no_cluster_uses_it(self):
        """For a pooler, say: PostgreSQL and libpq themselves refuse a key that its group may read."""
        run("groupadd", "--system", "poolers")
        for member in self.users:
            run("usermod", "-aG", "poolers", member)
        value = self.three()
        value["certificates"]["pooler"] = {
            **client("billing", directory="/srv/billing/pooler"), "group": "poolers",
            "mode": "0640"}
        machine.write_policy(value)
        self.enable("app", "billing")
        self.await_proven()
        key = pathlib.Path("/srv/billing/pooler/postgresql.key")
        self.assertEqual(mode_and_owner(key.parent / "current/postgresql.key"), "640 billing")
        self.assertEqual(key.stat().st_gid, grp.getgrnam("poolers").gr_gid)
        self.assertIn("PRIVATE KEY", as_user("app", "cat", key).stdout)
        self.assertNotEqual(as_user("postgres", "cat", key, check=False).returncode, 0)
        value["clusters"]["main"]["verify"]["as"].append("pooler")
        machine.write_policy(value)
        done = run("pgcertd", "--check", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"pooler\.mode: 0640 .*libpq refuse.*HINT: ")

    def test_each_login_is_made_by_the_worker_of_its_owner(self):
        sql("alter system set log_connections = on")
        sql("select pg_reload_conf()")
        machine.write_policy(self.three())
        self.enable("app", "billing")
        self.await_proven()
        log = pathlib.Path(f"/var/log/postgresql/postgresql-{machine.MAJOR}-main.log")
        for name in self.users:
            self.assertRegex(log.read_text(), f"connection authorized: user={name} .*SSL enabled")
        # Without app's own worker that login, and no other, is not to be had.
        units = ("pgcertd-worker@app.socket", "pgcertd-worker@app.service")
        systemctl("stop", *units)
        size = len(log.read_text())
        run("pgcertctl", "check", check=False)
        state = status()
        self.assertNotEqual(state["health"], 0)
        self.assertIn("no worker for app", state["certificates"]["app"]["error"])
        self.assertIsNone(state["certificates"]["billing"]["error"])
        self.assertNotIn("user=app ", log.read_text()[size:])
        self.assertRegex(log.read_text()[size:], "connection authorized: user=billing .*SSL enabled")
        systemctl("start", units[0])
        run("pgcertctl", "check", check=False)
        self.assertEqual(status()["health"], 0)
        self.assertRegex(log.read_text()[size:], "connection authorized: user=app .*SSL enabled")

    def test_root_is_no_owner(self):
        value = self.three()
        value["certificates"]["billing"]["owner"] = "root"
        machine.write_policy(value)
        done = run("pgcertd", "--check", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"owner: .*root.*HINT: ")

    def test_a_hostile_owner_harms_only_itself(self):
        pathlib.Path("/tmp/others").write_text("somebody else's\n")
        value = machine.short(policy(clients=["app"]), "16s", "8s")
        machine.write_policy(value)
        self.enable("app")
        self.await_proven()
        before = served()
        attack = subprocess.Popen(["runuser", "-u", "app", "--", "bash", "-c", HOSTILE],
                                  stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            seen = {before}

            def renewed():
                seen.add(served())
                return len(seen) >= 4  # three renewals of the server under attack

            wait_until(renewed, "the server's certificate is renewed", 90)
            self.assertNotIn(None, seen)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(attack.pid, 9)
            attack.wait()
        self.assertGreater(len((pathlib.Path("/home/app") / "rounds").read_text().splitlines()), 50)
        self.assertEqual(pathlib.Path("/tmp/others").read_text(), "somebody else's\n")
        self.assertEqual(os.stat("/tmp/others").st_mode & 0o777, 0o644)
        self.assertEqual(machine.leaf()["sha256"], served())
        # A leaf whose key the owner destroyed before it was published is lost. Counted over the whole
        # attack, not between two publications: no more are lost than failures were told, each of
        # which is followed by a pause.
        issued = (machine.SIGNER_STATE / "ledger.jsonl").read_text().count('"certificate":"app"')
        told = [m for m in machine.messages() if m.startswith("app: ")]
        published = [m for m in told if m.startswith("app: published")]
        self.assertGreaterEqual(issued, len(published))
        self.assertLessEqual(issued - len(published), len(told) - len(published), told)
        run("rm", "-rf", "/home/app/.postgresql")
        run("pgcertctl", "renew", "app")
        self.await_proven()

    def test_a_stopped_worker_holds_up_its_owner_alone(self):
        """The owner of a worker may stop it with a signal: it is the owner's own process."""
        machine.write_policy(policy(clients=["app"]))
        self.enable("app")
        self.await_proven()
        before = served()
        stopper = subprocess.Popen(["runuser", "-u", "app", "--", "bash", "-c",
                                    "while :; do pkill -STOP -u app pgcertd-worker; sleep 0.01; done"],
                                   start_new_session=True)
        try:
            run("pgcertctl", "renew", "server")
            self.assertNotEqual(served(), before)
            self.assertIn("pgcertd-worker", status()["certificates"]["app"]["error"])
        finally:
            os.killpg(stopper.pid, 9)
            stopper.wait()
            systemctl("kill", "-s", "KILL", "pgcertd-worker@app.service", check=False)
        run("pgcertctl", "renew", "app")
        self.await_proven()


if __name__ == "__main__":
    machine.main()
