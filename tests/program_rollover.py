"""The CA rolls over and no reader notices: at the scale of seconds, under a load, nothing faked."""

import json
import pathlib
import shutil
import threading
import time

import harness
from harness import Load, Scene, run, wait_until

# The smallest lives that the policy's own arithmetic accepts: none of them can be a second less.
LEAF, RENEW, CA, DISTRIBUTE = "8s", "5s", "24s", 2


class Copies:
    """Somebody on another machine who fetches the trust bundle once in every `distribute`."""

    def __init__(self, daemon, files, then=lambda: None, every=DISTRIBUTE):
        self.daemon, self.files, self.then, self.every = daemon, files, then, every
        self.number = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def fetch(self):
        text = self.daemon.ctl("bundle", "main").stdout
        for file in self.files:
            new = file.with_suffix(".new")
            new.write_text(text)
            new.rename(file)
        self.then()
        self.number += 1

    def _run(self):
        begin = time.monotonic()
        while not self._end.wait(max(0.0, begin + self.every - 0.3 - time.monotonic())):
            begin = time.monotonic()
            self.fetch()

    def __enter__(self):
        self.fetch()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join(30)


def history(daemon, event=None):
    """What happened, from the history file, in order."""
    lines = [json.loads(line) for name in ("history.jsonl.1", "history.jsonl")
             for line in (pathlib.Path(daemon.state / name).read_text().splitlines()
                          if (daemon.state / name).exists() else [])]
    return [line for line in lines if event in (None, line["event"])]


class Rollover(Scene):
    def smallest_policy(self, cluster):
        policy = self.basic_policy(cluster, LEAF, RENEW, backdate="1s")
        policy["check_every"] = "1s"
        policy["authorities"]["main"].update({"lifetime": CA, "distribute": f"{DISTRIBUTE}s"})
        return policy

    def other_machine(self):
        """A PostgreSQL that pgcertd knows nothing of: it has a certificate of its own making, and
        believes clients by a copy of the bundle."""
        directory = self.path("elsewhere")
        directory.mkdir()
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", directory / "own.key", "-out", directory / "own.crt",
            "-subj", "/CN=elsewhere", "-days", "2")
        (directory / "own.key").chmod(0o600)
        bundle = directory / "ca-cert.pem"
        bundle.write_text((directory / "own.crt").read_text())
        return bundle, self.postgres(
            "other", settings=f"ssl = on\nssl_cert_file = '{directory}/own.crt'\n"
            f"ssl_key_file = '{directory}/own.key'\nssl_ca_file = '{bundle}'\n")

    def test_nobody_notices_three_rollovers_with_the_shortest_lives(self):
        here = self.postgres()
        bundle, there = self.other_machine()
        daemon = self.pgcertd(self.smallest_policy(here))
        daemon.start()
        wait_until(lambda: daemon.status()["health"] == 0, "all is proven")
        local = f"{self.conninfo(daemon)} port={here.port}"
        copy = bundle.parent / "root.crt"
        far = local.replace(local.partition("sslrootcert=")[2].split()[0], str(copy))
        outward = (f"{self.conninfo(daemon, sslmode='require')} port={there.port} "
                   "sslrootcert=/nonexistent")
        with Copies(daemon, [bundle, copy], there.reload) as copies, \
                Load([local, far, outward]) as load:
            wait_until(lambda: len(history(daemon, "ca-retired")) >= 3, "three CAs came and went",
                       100)
        self.assertEqual(load.failures, [], self.story(daemon))
        self.assertGreater(load.connections, 500)
        self.assertGreater(copies.number, 10)
        self.assertEqual(daemon.status()["health"], 0)
        # Every step once for each CA, in its order.
        events = [(line["generation"], line["event"]) for line in history(daemon)
                  if line["event"].startswith("ca-")]
        for number in range(2, 4):
            mine = [event for generation, event in events if generation == number]
            self.assertEqual(mine, ["ca-prepared", "ca-announced", "ca-activated", "ca-retired"])

    def test_once_goes_as_far_as_time_lets_it(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster)
        daemon = self.pgcertd(policy)
        daemon.once()
        for distribute, subject, last in (("0s", "second", "ca-activated"),
                                          ("1h", "third", "ca-announced")):
            policy["authorities"]["main"].update(distribute=distribute, subject={"CN": subject})
            daemon.write(policy)
            daemon.once()
            self.assertEqual([line["event"] for line in history(daemon)
                              if line["event"].startswith("ca-")][-1], last)
            before = len(history(daemon))
            daemon.once()
            self.assertEqual(len(history(daemon)), before, "nothing was left to do")

    def test_an_emergency_costs_nobody_here_a_connection(self):
        cluster = self.postgres()
        daemon = self.pgcertd(self.basic_policy(cluster))
        daemon.start()
        wait_until(lambda: daemon.status()["health"] == 0, "all is proven")
        stolen = self.path("stolen")
        shutil.copytree(daemon.policy["certificates"]["app"]["directory"], stolen)
        local = f"{self.conninfo(daemon)} port={cluster.port}"
        # Who asks nobody for a certificate: only the server can refuse it.
        thief = (f"{self.conninfo(daemon, sslmode='require')} sslrootcert=/nonexistent".replace(
            str(daemon.policy["certificates"]["app"]["directory"]), str(stolen)))
        cluster.psql(thief)
        with Load([local]) as load:
            # It is told first, and nothing is done; also where the next CA lies prepared.
            daemon.ctl("rotate", "main")
            before = daemon.status()["authorities"]["main"]["generations"]
            told = daemon.ctl("rotate", "main", "--emergency", check=False)
            self.assertEqual(told.returncode, 1)
            self.assertRegex(told.stdout, "What breaks: .*\n?.*\nNothing was changed")
            self.assertEqual(daemon.status()["authorities"]["main"]["generations"], before)
            done = daemon.ctl("rotate", "main", "--emergency", "--yes")
            self.assertIn("root G3", done.stdout)
            daemon.ctl("check")
        self.assertEqual(load.failures, [], self.story(daemon))
        self.assertGreater(load.connections, 50)
        self.assertEqual([g["number"] for g in
                          daemon.status()["authorities"]["main"]["generations"]], [3])
        # Whoever has the stolen key, or what it signed, is nobody here any more.
        refused = cluster.psql(thief, check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertRegex(refused.stderr, "alert|unknown ca|certificate")
        for name, place in ("server", "ca-cert.pem"), ("app", "root.crt"):
            directory = daemon.policy["certificates"][name]["directory"]
            self.assertEqual(pathlib.Path(directory, place).read_text().count("BEGIN"), 1, name)

    def story(self, daemon):
        return daemon.log()[-6000:]


if __name__ == "__main__":
    harness.main()
