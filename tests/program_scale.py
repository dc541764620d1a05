"""Two hundred certificates due at once: one pass, one reload."""

import time

import harness
from harness import Scene

CLIENTS = 199
LIMIT = 30.0  # seconds for a pass with 200 issues; a slow machine takes a few


class Scale(Scene):
    def test_two_hundred_certificates_are_one_pass_and_one_reload(self):
        names = [f"app{n}" for n in range(CLIENTS)]
        cluster = self.postgres(roles=names[:1])
        daemon = self.pgcertd(self.basic_policy(cluster, clients=names))
        begin = time.monotonic()
        daemon.once()
        took = time.monotonic() - begin
        self.assertEqual(cluster.reloads(), 1)
        self.assertLess(took, LIMIT)
        before = {name: daemon.generation(name) for name in ["server", *names]}
        self.assertNotIn(None, before.values())

        daemon.start()
        begin = time.monotonic()
        daemon.ctl("renew", "--all")
        print(f"200 certificates: first {took:.2f} s, renewed {time.monotonic() - begin:.2f} s")
        self.assertEqual(cluster.reloads(), 2)
        after = {name: daemon.generation(name) for name in before}
        self.assertEqual([n for n in before if after[n] == before[n]], [])
        self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])
        cluster.psql(self.conninfo(daemon, names[0]))
        rows = daemon.status()["certificates"]
        self.assertEqual({row["state"] for row in rows.values()}, {"ok"})
        self.assertEqual(len(rows), CLIENTS + 1)



if __name__ == "__main__":
    harness.main()
