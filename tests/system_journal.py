"""What the journal has: each event with its fields and its explanation, and never a key."""

import pathlib
import re

import machine
from harness import wait_until
from machine import EVENTS, journal, policy, run, systemctl, told, write_policy


class Journal(machine.Machine):
    users = ("app",)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        run("journalctl", "--update-catalog")
        write_policy(policy(clients=["app"]))
        systemctl("enable", "--now", "pgcertd-worker@app.socket", "pgcertd")
        wait_until(machine.is_proven, "everything is proven")

    def test_1_events_have_fields(self):
        for name, fields in (
                ("STARTED", {}),
                ("CA_CREATED", {"PGCERTD_AUTHORITY": "main"}),
                ("PUBLISHED", {"PGCERTD_CERTIFICATE": "app", "PGCERTD_SERIAL":
                               machine.leaf("/home/app/.postgresql", "postgresql.crt")["serial"]}),
                ("PROVEN", {"PGCERTD_CLUSTER": "main",
                            "PGCERTD_SERIAL": machine.leaf()["serial"]})):
            entries = told(name)
            self.assertTrue(entries, name)
            self.assertTrue(any(all(e.get(k, "").lstrip("0") == v.lstrip("0") for k, v in fields.items())
                                for e in entries), f"{name}: {entries}")

    def test_2_each_event_is_told_once(self):
        for name in ("STARTED", "PUBLISHED", "PROVEN", "CA_CREATED"):
            keys = [e["MESSAGE"] for e in told(name)]
            self.assertEqual(len(keys), len(set(keys)), keys)
        made = [e["_SYSTEMD_UNIT"] for e in told("CA_CREATED")]
        self.assertEqual(len(made), 1, made)

    def test_3_one_query_has_what_all_programs_told(self):
        systemctl("set-environment", "PGCERTD_DEBUG=1")
        self.addCleanup(systemctl, "unset-environment", "PGCERTD_DEBUG")
        systemctl("stop", "pgcertd-signer.service")
        run("pgcertctl", "renew", "server")
        serial = machine.leaf()["serial"].zfill(16)
        told_by = {e["_SYSTEMD_UNIT"]: e["_UID"] for e in journal(f"PGCERTD_SERIAL={serial}")}
        self.assertEqual(set(told_by), {"pgcertd.service", "pgcertd-signer.service"})
        self.assertEqual(len(set(told_by.values())), 2)  # and not of one user

    def test_4_each_event_is_explained(self):
        out = run("journalctl", "-x", "-u", "pgcertd", "--no-pager").stdout
        for words in ("Subject: pgcertd has started", "Subject: app was published",
                      "Subject: main serves its new certificate", "Defined-By: pgcertd",
                      "pgcertctl"):
            self.assertIn(words, out)
        known = run("journalctl", "--list-catalog").stdout
        for name, number in EVENTS.items():
            self.assertIn(number, known, name)

    def test_5_a_failure_is_told_once_for_each_step_of_its_back_off(self):
        write_policy(policy(clients=["app"]))
        systemctl("reload", "pgcertd")
        systemctl("stop", machine.POSTGRES_UNIT)
        self.addCleanup(systemctl, "start", machine.POSTGRES_UNIT)
        before = len(told("OWED"))
        run("pgcertctl", "renew", "server", check=False)
        for _ in range(5):
            run("pgcertctl", "check", check=False)
        self.assertEqual(len(told("OWED")) - before, 1, [e["MESSAGE"] for e in told("OWED")])

    def test_6_nothing_of_a_key_is_in_the_journal(self):
        keys = [pathlib.Path(p) for p in run(
            "find", "/etc/postgresql/ssl", "/home/app/.postgresql", machine.SIGNER_STATE,
            "-name", "*.key", "-type", "f").stdout.split()]
        self.assertGreaterEqual(len(keys), 3)
        entries = run("journalctl", "-o", "export", "--all", "--no-pager").stdout
        raw = b"".join(p.read_bytes() for p in pathlib.Path("/var/log/journal").rglob("*.journal")) \
            if pathlib.Path("/var/log/journal").exists() else b""
        raw += b"".join(p.read_bytes() for p in pathlib.Path("/run/log/journal").rglob("*.journal"))
        self.assertIn(machine.leaf()["serial"], entries)  # the right haystack
        self.assertIn(b"PGCERTD_SERIAL=", raw)
        for key in keys:
            body = "".join(line for line in key.read_text().splitlines() if "-----" not in line)
            private = run("openssl", "pkey", "-in", key, "-noout", "-text").stdout
            scalar = re.sub(r"[\s:]", "", private.split("priv:")[1].split("pub:")[0])
            for part in (body[40:80], scalar[2:42]):
                self.assertNotIn(part, entries)
                self.assertNotIn(part.encode(), raw)
        for word in ("PRIVATE KEY", "BEGIN CERTIFICATE REQUEST"):
            self.assertNotIn(word, entries)

    def test_7_no_program_leaves_a_core_file(self):
        run("pgcertctl", "renew", "--all", "--no-wait")
        seen = {}

        def all_seen():
            for _, name, limits in machine.processes("limits"):
                seen[name] = re.search(r"Max core file size +(\d+) +(\d+)", limits).groups()
            return len(seen) >= 3

        wait_until(all_seen, "all three programs run")
        self.assertEqual(set(seen.values()), {("0", "0")}, seen)


if __name__ == "__main__":
    machine.main()
