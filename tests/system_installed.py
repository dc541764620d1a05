"""Installed and enabled: from a policy in /etc to PostgreSQL serving the certificate."""

import machine
from machine import messages, policy, served, show, systemctl


class Installed(machine.Machine):

    def test_1_without_a_policy_it_is_skipped_and_not_failed(self):
        systemctl("start", "pgcertd")
        self.assertEqual(show("pgcertd", "ActiveState"), "inactive")
        self.assertEqual(show("pgcertd", "Result"), "success")
        self.assertEqual(show("pgcertd", "ConditionResult"), "no")

    def test_2_postgresql_serves_what_was_issued(self):
        self.assertIsNone(served())
        machine.write_policy(policy(clients=["app"]))
        self.enable("app")
        self.await_proven()
        self.assertEqual(served(), machine.leaf()["sha256"])
        self.assertIn("app", machine.run("psql", "-XAtc", "select current_user",
                                         machine.conninfo("app")).stdout)

    def test_3_the_journal_tells_the_story(self):
        told = "\n".join(messages())
        for sentence in ("server: published generation 1", "PostgreSQL serves server"):
            self.assertIn(sentence, told)


if __name__ == "__main__":
    machine.main()
