"""The metrics file of a running pgcertd, as node_exporter's textfile collector would read it."""

import re
import shutil
import subprocess
import unittest

import harness
from harness import Scene, ends_at, wait_until


class Metrics(Scene):
    def read(self):
        """Values by name with labels."""
        text = (self.daemon.runtime / "pgcertd.prom").read_text()
        return {line.rpartition(" ")[0]: int(line.rpartition(" ")[2])
                for line in text.splitlines() if not line.startswith("#")}

    def begin(self):
        self.cluster = self.postgres()
        policy = self.basic_policy(self.cluster)
        policy["check_every"] = "1s"
        self.daemon = self.pgcertd(policy).start()
        wait_until(lambda: self.daemon.status().get("health") == 0, "all is proven")

    def test_tells_disk_and_wire_and_beats(self):
        self.begin()
        values = self.read()
        label = 'certificate="server",use="server"'
        directory = self.daemon.policy["certificates"]["server"]["directory"]
        for view in ("disk", "served", "wanted"):
            self.assertEqual(values[f'pgcertd_certificate_not_after_seconds{{{label},view="{view}"}}'],
                             ends_at(f"{directory}/server-cert.pem"), view)
        self.assertEqual(values["pgcertd_health"], 0)
        self.assertEqual(values['pgcertd_cluster_proof{cluster="main",proof="proven"}'], 1)
        self.assertEqual(values['pgcertd_cluster_usable{cluster="main"}'], 1)
        beat = values["pgcertd_heartbeat_timestamp_seconds"]
        wait_until(lambda: self.read()["pgcertd_heartbeat_timestamp_seconds"] > beat,
                   "another heartbeat")

    @unittest.skipUnless(shutil.which("promtool"), "promtool checks the metrics where it is there")
    def test_promtool_accepts_them(self):
        self.begin()
        done = subprocess.run(["promtool", "check", "metrics"], capture_output=True, text=True,
                              input=(self.daemon.runtime / "pgcertd.prom").read_text())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_tells_a_refusal_and_its_end(self):
        self.begin()
        bad = self.cluster.data / "postgresql.auto.conf"
        good = bad.read_text()
        bad.write_text(good + "ssl_ciphers = 'NONSENSE'\n")
        self.daemon.ctl("renew", "server", check=False)
        refused = 'pgcertd_certificate_refused{certificate="server",use="server"}'
        wait_until(lambda: self.read()[refused] == 1, "the refusal is told")
        values = self.read()
        self.assertEqual(values["pgcertd_health"], 1)
        self.assertGreaterEqual(
            values['pgcertd_certificate_failures{certificate="server",use="server"}'], 1)
        bad.write_text(good)
        self.daemon.ctl("renew", "server")
        wait_until(lambda: self.read()[refused] == 0, "the end of it is told")
        self.assertFalse([name for name in self.read() if re.search(r"serial|sha256", name)])


if __name__ == "__main__":
    harness.main()
