"""The service on lives of seconds: renewals that PostgreSQL serves, with the key kept."""

import pathlib
import random
import re
import signal
import time

import harness
from harness import Scene, each_major, wait_until

# What PostgreSQL says of files that it does not like.
COMPLAINTS = r"(?m)^.*(?:SSL configuration was not reloaded|could not load|world access).*$"


class Renewal(Scene):
    def renewals(self, cluster, count, first=None, limit=60):
        """Waits until that many further leaves were served; returns all of them."""
        seen = [first] if first else []

        def another():
            leaf = harness.served(cluster.port)
            if leaf and leaf not in seen:
                seen.append(leaf)
            return len(seen) > count
        wait_until(another, f"{count} renewals of what is served", limit)
        return seen

    @each_major
    def test_serves_one_leaf_after_another_with_the_key_kept(self):
        cluster = self.postgres()
        daemon = self.pgcertd(self.short_policy(cluster)).start()
        wait_until(lambda: harness.served(cluster.port), "TLS is on")
        pid = cluster.process.pid
        first = self.disk(daemon, "server")
        client = self.disk(daemon, "app")
        self.renewals(cluster, 3, first["sha256"])
        later = self.disk(daemon, "server")
        self.assertNotEqual(later["serial"], first["serial"])
        self.assertEqual(later["public_key"], first["public_key"])
        wait_until(lambda: self.disk(daemon, "app")["serial"] != client["serial"],
                   "the client's certificate is renewed too")
        self.assertEqual(self.disk(daemon, "app")["public_key"], client["public_key"])
        cluster.psql(self.conninfo(daemon))
        self.assertEqual(cluster.process.pid, pid)
        self.assertEqual(re.findall(COMPLAINTS, cluster.log()), [])
        directory = pathlib.Path(daemon.policy["certificates"]["server"]["directory"])
        daemon.stop()
        kept = sorted(p.name for p in directory.glob("generation-*"))
        self.assertLessEqual(len(kept), 3, "old generations are removed")
        self.assertIn((directory / "current").readlink().name, kept)

    def test_status_agrees_with_what_is_served(self):
        cluster = self.postgres()
        daemon = self.pgcertd(self.basic_policy(cluster)).start()
        wait_until(lambda: daemon.status().get("health") == 0, "all is proven")
        row = daemon.status()["certificates"]["server"]
        self.assertEqual(row["served"]["sha256"], harness.served(cluster.port))
        self.assertEqual(row["disk"]["sha256"], self.disk(daemon, "server")["sha256"])
        self.assertEqual(row["disk"]["serial"].lstrip("0"), self.disk(daemon, "server")["serial"])
        self.assertProven(daemon)

    def test_rekey_always_changes_the_key(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster)
        policy["certificates"]["server"]["rekey"] = "always"
        daemon = self.pgcertd(policy).start()
        wait_until(lambda: harness.served(cluster.port), "TLS is on")
        before = self.disk(daemon, "server")
        daemon.ctl("renew", "server")
        after = self.disk(daemon, "server")
        self.assertNotEqual(after["public_key"], before["public_key"])
        self.assertEqual(harness.served(cluster.port), after["sha256"])

    def test_one_certificate_for_two_clusters(self):
        one, two = self.postgres("one"), self.postgres("two")
        policy = self.basic_policy(one)
        policy["clusters"]["second"] = {**policy["clusters"]["main"],
                                        "data_directory": str(two.data),
                                        "configuration": str(two.configuration)}
        daemon = self.pgcertd(policy)
        daemon.once()
        leaf = self.disk(daemon, "server")["sha256"]
        for cluster in (one, two):
            self.assertEqual(harness.served(cluster.port), leaf)
            self.assertEqual(cluster.reloads(), 1)
            cluster.psql(self.conninfo(daemon))
        daemon.start()
        daemon.ctl("renew", "server")
        leaf = self.disk(daemon, "server")["sha256"]
        for cluster in (one, two):
            self.assertEqual(harness.served(cluster.port), leaf)
            self.assertEqual(cluster.reloads(), 2)

    def test_one_cluster_with_many_clients(self):
        names = [f"app{n}" for n in range(12)]
        cluster = self.postgres(roles=names)
        policy = self.basic_policy(cluster, clients=names)
        policy["clusters"]["main"]["verify"]["as"] = names
        policy["certificates"]["app3"]["service"] = {
            "file": "pg_service.conf", "name": "third", "host": "localhost", "port": cluster.port,
            "dbname": "postgres"}
        daemon = self.pgcertd(policy)
        daemon.once()
        self.assertEqual(cluster.reloads(), 1)
        for name in names:
            done = cluster.psql(self.conninfo(daemon, name), "select current_user")
            self.assertEqual(done.stdout.strip(), name)
        services = f"{policy['certificates']['app3']['directory']}/pg_service.conf"
        done = cluster.psql("service=third", "select current_user", PGSERVICEFILE=services)
        self.assertEqual(done.stdout.strip(), "app3")

    @each_major
    def test_postgresql_may_be_restarted_at_any_moment(self):
        """While certificates are first made and then renewed, it always starts, and serves."""
        chance = random.Random(20260131)
        cluster = self.postgres()
        daemon = self.pgcertd(self.short_policy(cluster, "4s", "2s")).start(wait=False)
        turned_on = False
        for number in range(14):
            time.sleep(chance.uniform(0, 0.45))
            if number % 4 == 3:
                cluster.process.send_signal(signal.SIGQUIT)
                cluster.process.wait(20)
                cluster.start()
            else:
                cluster.restart()
            leaf = harness.served(cluster.port)
            if leaf is None and turned_on:
                self.fail(f"restart {number}: TLS was on and is off\n{cluster.log()[-2000:]}")
            if leaf:
                turned_on = True
                cluster.psql(self.conninfo(daemon))
        self.assertTrue(turned_on)
        self.renewals(cluster, 2, harness.served(cluster.port))
        self.assertNotIn("not reloaded", cluster.log())


if __name__ == "__main__":
    harness.main()
