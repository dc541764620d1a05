"""A PostgreSQL that refuses what was published: the old set is put back, told, and tried again."""

import pathlib
import time

import harness
from harness import Scene, each_major, wait_until

NONSENSE = "ssl_crl_file = '/nonexistent/root.crl'\n"


class Refused(Scene):
    def spoil(self, cluster):
        """From the next reload on PostgreSQL refuses any TLS configuration, whatever the files."""
        with open(cluster.data / "postgresql.auto.conf", "a", encoding="utf-8") as out:
            out.write(NONSENSE)

    def mend(self, cluster):
        path = cluster.data / "postgresql.auto.conf"
        path.write_text(path.read_text().replace(NONSENSE, ""))

    def policy_with_patience(self, cluster):
        policy = self.basic_policy(cluster)
        policy["check_every"] = "1s"
        policy["clusters"]["main"]["timeout"] = "1s"
        return policy

    @each_major
    def test_puts_the_old_set_back_and_recovers_by_itself(self):
        cluster = self.postgres()
        daemon = self.pgcertd(self.policy_with_patience(cluster)).start()
        wait_until(lambda: daemon.status()["health"] == 0, "the first set is proven")
        before, generation = self.disk(daemon, "server"), daemon.generation("server")
        self.spoil(cluster)
        done = daemon.ctl("renew", "server", check=False)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn("revocation list", done.stdout, "PostgreSQL's own words")
        self.assertEqual(self.disk(daemon, "server"), before)
        self.assertEqual(daemon.generation("server"), generation)
        self.assertEqual(harness.served(cluster.port), before["sha256"])
        status = daemon.status()
        self.assertEqual(status["certificates"]["server"]["state"], "refused")
        self.assertEqual(status["health"], 1)
        cluster.psql(self.conninfo(daemon))
        refused = list(pathlib.Path(daemon.policy["certificates"]["server"]["directory"])
                       .glob("generation-*/refused"))
        self.assertEqual(len(refused), 1)
        self.assertIn("revocation list", refused[0].read_text())

        self.mend(cluster)
        wait_until(lambda: daemon.status()["certificates"]["server"]["state"] == "ok",
                   "the refused generation is tried again and proven")
        self.assertEqual(daemon.generation("server"), refused[0].parent.name,
                         "no further certificate was issued")
        self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])
        self.assertProven(daemon)

    @each_major
    def test_takes_the_first_turn_on_back(self):
        cluster = self.postgres()
        self.spoil(cluster)
        daemon = self.pgcertd(self.policy_with_patience(cluster)).start()
        wait_until(lambda: daemon.status()["certificates"]["server"]["state"] == "refused",
                   "the refusal is told")
        self.assertFalse(cluster.configuration.exists())
        self.assertEqual(daemon.status()["health"], 1)
        self.mend(cluster)
        cluster.restart()
        wait_until(lambda: daemon.status()["health"] == 0, "TLS is turned on in the end")
        self.assertTrue(cluster.configuration.exists())
        self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])

    def test_puts_back_for_both_clusters_where_one_refuses(self):
        one, two = self.postgres("one"), self.postgres("two")
        policy = self.policy_with_patience(one)
        policy["clusters"]["second"] = {**policy["clusters"]["main"],
                                        "data_directory": str(two.data),
                                        "configuration": str(two.configuration)}
        daemon = self.pgcertd(policy).start()
        wait_until(lambda: daemon.status()["health"] == 0, "both are proven")
        before = self.disk(daemon, "server")
        self.spoil(two)
        self.assertEqual(daemon.ctl("renew", "server", check=False).returncode, 2)
        for cluster in one, two:
            self.assertEqual(harness.served(cluster.port), before["sha256"])
        self.assertEqual(self.disk(daemon, "server"), before)
        self.mend(two)
        wait_until(lambda: daemon.status()["health"] == 0, "both take the new set")
        for cluster in one, two:
            self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])
            self.assertNotEqual(harness.served(cluster.port), before["sha256"])

    def test_waits_longer_each_time(self):
        cluster = self.postgres()
        daemon = self.pgcertd(self.policy_with_patience(cluster)).start()
        wait_until(lambda: daemon.status()["health"] == 0, "the first set is proven")
        self.spoil(cluster)
        daemon.ctl("renew", "server", check=False)
        told = "PostgreSQL did not load the new certificate"
        begin = time.monotonic()
        wait_until(lambda: daemon.log().count(told) >= 3, "two more tries")
        # 1 s, then 2 s: their sum is a floor, not a measurement.
        self.assertGreater(time.monotonic() - begin, 3)


if __name__ == "__main__":
    harness.main()
