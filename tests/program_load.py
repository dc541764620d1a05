"""Promise 1: clients that connect all the time see no failure, however often is renewed."""

import time

import harness
from harness import Load, Scene, wait_until

CONNECTIONS = 2000
RENEWALS = 20
LIMIT = 240.0


class Connections(Scene):
    def test_two_thousand_logins_across_twenty_renewals_never_fail(self):
        cluster = self.postgres()
        policy = self.short_policy(cluster, "4s", "2s")
        daemon = self.pgcertd(policy).start()
        wait_until(lambda: daemon.status().get("health") == 0, "all is proven")
        served, client = [], []
        begin = time.monotonic()
        conninfos = [f"{self.conninfo(daemon, host=host)} port={cluster.port}"
                     for host in ("localhost", "127.0.0.1")]
        with Load(conninfos, pause=0.002) as load:

            def enough():
                for seen, leaf in ((served, harness.served(cluster.port)),
                                   (client, daemon.generation("app"))):
                    if leaf and leaf not in seen:
                        seen.append(leaf)
                return load.failures or (len(served) > RENEWALS and len(client) > RENEWALS and
                                         load.connections >= CONNECTIONS)
            wait_until(enough, f"{CONNECTIONS} connections and {RENEWALS} renewals", LIMIT)
        print(f"{load.connections} connections, {len(served) - 1} server and {len(client) - 1} "
              f"client renewals in {time.monotonic() - begin:.0f} s, "
              f"{len(load.failures)} failures")
        self.assertEqual(load.failures[:5], [])
        self.assertGreater(load.connections, CONNECTIONS - 1)
        self.assertGreater(len(served), RENEWALS)
        self.assertGreater(len(client), RENEWALS)


if __name__ == "__main__":
    harness.main()
