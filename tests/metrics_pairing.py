"""Metrics, alert rules, dashboard and manual: none names what another one does not know."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import yaml

SOURCE = pathlib.Path(os.environ.get("PGCERTD_SOURCE") or pathlib.Path(__file__).parents[1])
RULES = SOURCE / "conf/pgcertd-alerts.yaml"


class Pairing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        code = (SOURCE / "daemon/report_metrics.c").read_text()
        cls.told = set(re.findall(r'begin\(text, "(\w+)"', code)) | set(
            re.findall(r'add_certificates\(\s*report, "(\w+)"', code))
        cls.rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]

    def used(self, text):
        return set(re.findall(r"pgcertd_(\w+)", text))

    def test_rules_use_what_is_told(self):
        self.assertGreater(len(self.told), 15)
        for rule in self.rules:
            self.assertTrue(self.used(rule["expr"]), rule)
            self.assertLessEqual(self.used(rule["expr"]), self.told, rule["alert"])
            self.assertIn(rule["labels"]["severity"], ("warning", "critical"))

    def test_every_alert_has_its_paragraph(self):
        page = (SOURCE / "man/pgcertd.8").read_text()
        self.assertEqual(re.findall(r"^\.It Sy (Pgcertd\w+)", page, re.M),
                         [rule["alert"] for rule in self.rules])

    def test_dashboard_uses_what_is_told(self):
        dashboard = json.loads((SOURCE / "conf/pgcertd-dashboard.json").read_text())
        self.assertGreaterEqual(len(dashboard["panels"]), 6)
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                self.assertTrue(self.used(target["expr"]), panel["title"])
                self.assertLessEqual(self.used(target["expr"]), self.told, panel["title"])

    @unittest.skipUnless(shutil.which("promtool"), "promtool checks the rules where it is there")
    def test_promtool_accepts_the_rules(self):
        done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
