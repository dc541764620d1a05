"""What `meson install` put into PGCERTD_PREFIX finds its parts and does the main job."""

import os
import pathlib

import harness
from harness import Scene


class Installed(Scene):
    def test_programs_find_each_other(self):
        prefix = pathlib.Path(os.environ["PGCERTD_PREFIX"])
        for file in ("sbin/pgcertd", "bin/pgcertctl", "libexec/pgcertd/pgcertd-worker",
                     "libexec/pgcertd/pgcertd-signer", "share/man/man8/pgcertd.8"):
            self.assertTrue((prefix / file).exists() or (prefix / f"{file}.gz").exists(), file)
        cluster = self.postgres()
        daemon = self.pgcertd(self.basic_policy(cluster))
        self.assertEqual(daemon.arguments()[0], str(prefix / "sbin/pgcertd"))
        daemon.once()
        cluster.psql(self.conninfo(daemon))
        daemon.start()
        before = harness.served(cluster.port)
        daemon.ctl("renew", "server")
        self.assertNotEqual(harness.served(cluster.port), before)
        self.assertEqual(daemon.stop()[0], 0)


if __name__ == "__main__":
    harness.main()
