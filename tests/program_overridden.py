"""Settings that others make: named with file and line before anything changes, and waited out."""

import json
import os
import pathlib
import re

import harness
from harness import ME, Scene, each_major, wait_until


class Overridden(Scene):
    def set_up(self, proven=True, **more):
        cluster = self.postgres(**more)
        policy = self.basic_policy(cluster)
        policy["check_every"] = "1s"
        policy["clusters"]["main"]["timeout"] = "1s"
        daemon = self.pgcertd(policy).start()
        if proven:
            wait_until(lambda: daemon.status()["health"] == 0, "the first set is proven")
        return cluster, daemon

    def generations(self, daemon):
        directory = pathlib.Path(daemon.policy["certificates"]["server"]["directory"])
        return sorted(p.name for p in directory.iterdir()) if directory.exists() else []

    def told(self, daemon, *words, health=1):
        """`status` names it, in JSON, as text and as the exit status, and so does the log."""
        def is_told():
            told = daemon.status()
            error = told["clusters"]["main"]["error"] or ""
            return told["health"] == health and all(w in error for w in words) and told
        try:
            told = wait_until(is_told, f"health {health} and {words}", 15)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(daemon.status(), indent=1)}\n"
                                 f"{daemon.log()[-3000:]}") from None
        done = daemon.ctl("status", check=False)
        self.assertEqual(done.returncode, health, done.stdout)
        for word in words:
            self.assertIn(word, "".join(done.stdout.split()) if " " not in word
                          else " ".join(done.stdout.split()))
            wait_until(lambda w=word: w in daemon.log(), f"the log tells {word}", 5)
        return told

    def renewal_is_held(self, cluster, daemon, *words, served=True):
        """Nothing changes on disk or on the wire, however often it is asked for."""
        before, files = self.disk(daemon, "server"), self.generations(daemon)
        reloads = cluster.reloads()
        for _ in range(2):
            done = daemon.ctl("renew", "server", check=False)
            self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
            for word in words:
                self.assertIn(word, done.stdout)
        told = daemon.status()
        self.assertEqual(told["health"], 1)
        self.assertEqual(self.generations(daemon), files, "no generation is made")
        self.assertEqual(self.disk(daemon, "server"), before)
        self.assertEqual(cluster.reloads(), reloads)
        if served:
            self.assertEqual(harness.served(cluster.port), before["sha256"])
        return before

    def goes_on(self, cluster, daemon):
        """By itself: the next pass proves what is there, and a renewal is done."""
        wait_until(lambda: daemon.status()["health"] == 0,
                   f"it goes on\n{daemon.ctl('status', check=False).stdout}{daemon.log()[-1500:]}")
        daemon.ctl("renew", "server")
        self.assertEqual(harness.served(cluster.port), self.disk(daemon, "server")["sha256"])
        cluster.psql(self.conninfo(daemon))
        self.assertProven(daemon)

    def foreign_pair(self, cluster):
        """A good pair of somebody else's making."""
        harness.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost", "-days",
                    "30", "-keyout", cluster.directory / "other.key", "-out",
                    cluster.directory / "other.crt")
        os.chmod(cluster.directory / "other.key", 0o600)
        return cluster.directory / "other.crt", cluster.directory / "other.key"

    def line_of(self, path, text):
        lines = pathlib.Path(path).read_text().splitlines()
        return max(n for n, line in enumerate(lines, 1) if line.startswith(text))

    @each_major
    def test_by_alter_system(self):
        cluster, daemon = self.set_up()
        certificate, key = self.foreign_pair(cluster)
        cluster.sql(f"alter system set ssl_cert_file = '{certificate}'")
        cluster.sql(f"alter system set ssl_key_file = '{key}'")
        auto = cluster.data / "postgresql.auto.conf"
        words = ("ssl_cert_file", f"{auto}:{self.line_of(auto, 'ssl_cert_file')}",
                 "ALTER SYSTEM RESET ssl_cert_file")
        # Before anybody has made PostgreSQL read it: the next reload, ours, would.
        self.told(daemon, *words)
        before = self.renewal_is_held(cluster, daemon, *words)
        cluster.sql("select pg_reload_conf()")
        wait_until(lambda: harness.served(cluster.port) != before["sha256"], "the other is served")
        self.told(daemon, *words)
        self.renewal_is_held(cluster, daemon, *words, served=False)
        cluster.sql("alter system reset ssl_cert_file")
        cluster.sql("alter system reset ssl_key_file")
        self.goes_on(cluster, daemon)

    @each_major
    def test_by_alter_system_of_the_key_alone(self):
        """A reload would be refused with "key values mismatch", a start too."""
        cluster, daemon = self.set_up()
        _, key = self.foreign_pair(cluster)
        cluster.sql(f"alter system set ssl_key_file = '{key}'")
        auto = cluster.data / "postgresql.auto.conf"
        words = ("ssl_key_file", f"{auto}:{self.line_of(auto, 'ssl_key_file')}")
        self.told(daemon, *words)
        self.renewal_is_held(cluster, daemon, *words)
        cluster.sql("select pg_reload_conf()")
        self.told(daemon, *words)
        self.renewal_is_held(cluster, daemon, *words)
        cluster.sql("alter system reset ssl_key_file")
        self.goes_on(cluster, daemon)

    @each_major
    def test_by_a_later_line(self):
        cluster, daemon = self.set_up()
        conf = cluster.data / "postgresql.conf"
        plain = conf.read_text()
        conf.write_text(plain + "ssl = off\n")
        words = ("ssl is set to 'off'", f"{conf}:{self.line_of(conf, 'ssl = off')}", "Remove that line")
        self.told(daemon, *words)
        self.renewal_is_held(cluster, daemon, *words)
        cluster.sql("select pg_reload_conf()")
        wait_until(lambda: harness.served(cluster.port) is None, "TLS is off")
        self.told(daemon, *words)
        self.renewal_is_held(cluster, daemon, *words, served=False)
        conf.write_text(plain)
        self.goes_on(cluster, daemon)

    @each_major
    def test_by_an_included_file(self):
        cluster, daemon = self.set_up()
        conf, included = cluster.data / "postgresql.conf", cluster.directory / "later.conf"
        certificate, key = self.foreign_pair(cluster)
        included.write_text(f"# of the site\nssl_cert_file = '{certificate}'\n"
                            f"ssl_key_file = '{key}'\n")
        plain = conf.read_text()
        conf.write_text(f"{plain}include '{included}'\n")
        words = ("ssl_cert_file", f"{included}:2")
        self.told(daemon, *words)
        self.renewal_is_held(cluster, daemon, *words)
        included.write_text("# of the site\n")
        self.goes_on(cluster, daemon)

    @each_major
    def test_by_the_command_line(self):
        cluster, daemon = self.set_up()
        certificate, key = self.foreign_pair(cluster)
        cluster.stop()
        cluster.process = harness.spawn(
            [f"{cluster.bindir}/postgres", "-D", str(cluster.data), "-c",
             f"ssl_cert_file={certificate}", "-c", f"ssl_key_file={key}"], cluster.log_file)
        wait_until(cluster._is_ready, "it starts with them")
        words = ("ssl_cert_file", "command line", "Start PostgreSQL without it")
        self.told(daemon, *words)
        self.renewal_is_held(cluster, daemon, *words, served=False)
        cluster.restart()
        self.goes_on(cluster, daemon)

    def test_only_one_of_two_that_were_asked_for(self):
        """The answer tells which was not renewed, also where the pass had other things to do."""
        cluster, daemon = self.set_up()
        cluster.sql("alter system set ssl = off")
        self.told(daemon, "ssl is set to 'off'")
        before = {name: self.files(daemon, name) for name in ("server", "app")}
        done = daemon.ctl("renew", "server", "app", check=False)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertRegex(done.stdout, "app: renewed")
        self.assertRegex(done.stdout, "server: [a-z ]+: ssl is set to 'off'")
        self.assertEqual(self.files(daemon, "server"), before["server"])
        self.assertNotEqual(self.files(daemon, "app"), before["app"])
        cluster.sql("alter system reset ssl")
        wait_until(lambda: daemon.status()["health"] == 0, "mended")
        daemon.ctl("check")
        self.assertEqual(self.files(daemon, "server"), before["server"],
                         "what was asked for once is not done later")
        self.goes_on(cluster, daemon)

    def files(self, daemon, name):
        directory = pathlib.Path(daemon.policy["certificates"][name]["directory"])
        return sorted(p.name for p in directory.iterdir())

    @each_major
    def test_while_it_is_down(self):
        """postgres -C tells the value, not where it comes from."""
        cluster, daemon = self.set_up()
        _, key = self.foreign_pair(cluster)
        cluster.sql(f"alter system set ssl_key_file = '{key}'")
        cluster.stop()
        words = ("ssl_key_file", str(key))
        self.told(daemon, *words)
        files = self.generations(daemon)
        done = daemon.ctl("renew", "server", check=False)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("ssl_key_file", done.stdout)
        self.assertEqual(self.generations(daemon), files)
        auto = cluster.data / "postgresql.auto.conf"
        auto.write_text(re.sub(r"ssl_key_file.*\n", "", auto.read_text()))
        wait_until(lambda: not daemon.status()["clusters"]["main"]["error"], "mended while it is down")
        cluster.start()
        self.goes_on(cluster, daemon)

    @each_major
    def test_before_the_first_certificate(self):
        """An ALTER SYSTEM that was there before us: not even the first set is made."""
        cluster = self.postgres()
        cluster.sql("alter system set ssl = off")
        policy = self.basic_policy(cluster)
        policy["check_every"] = "1s"
        daemon = self.pgcertd(policy).start()
        auto = cluster.data / "postgresql.auto.conf"
        self.told(daemon, "ssl is set to 'off'", f"{auto}:{self.line_of(auto, 'ssl')}",
                  "ALTER SYSTEM RESET ssl.")
        self.assertEqual(self.generations(daemon), [])
        self.assertFalse(cluster.configuration.exists())
        self.assertEqual(daemon.status()["certificates"]["server"]["state"], "held")
        self.assertEqual(cluster.reloads(), 0)
        cluster.sql("alter system reset ssl")
        self.goes_on(cluster, daemon)

    @each_major
    def test_configuration_that_nobody_includes(self):
        """The first turn-on says which line is missing; it is never retried into a storm."""
        cluster = self.postgres()
        conf = cluster.data / "postgresql.conf"
        with_line = conf.read_text()
        conf.write_text("".join(line for line in with_line.splitlines(True)
                                if not line.startswith("include_if_exists")))
        cluster.restart()
        policy = self.basic_policy(cluster)
        policy["check_every"] = "1s"
        policy["clusters"]["main"]["timeout"] = "1s"
        daemon = self.pgcertd(policy).start()
        words = ("PostgreSQL does not read our configuration",
                 f"include_if_exists = '{cluster.configuration}'")
        told = self.told(daemon, *words)
        self.assertIn(told["clusters"]["main"]["proof"], ("owed", "refused"))
        self.assertIsNone(harness.served(cluster.port))
        files = self.generations(daemon)
        self.told(daemon, *words)
        self.assertEqual(self.generations(daemon), files)
        conf.write_text(with_line)
        cluster.sql("select pg_reload_conf()")
        self.goes_on(cluster, daemon)

    def test_configuration_that_is_included_no_more(self):
        cluster, daemon = self.set_up()
        conf = cluster.data / "postgresql.conf"
        with_line = conf.read_text()
        conf.write_text("".join(line for line in with_line.splitlines(True)
                                if not line.startswith("include_if_exists")))
        before, files = self.disk(daemon, "server"), self.generations(daemon)
        words = ("PostgreSQL does not read our configuration",
                 f"include_if_exists = '{cluster.configuration}'")
        self.told(daemon, *words)
        done = daemon.ctl("renew", "server", check=False)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("include_if_exists", done.stdout)
        self.assertEqual(self.generations(daemon), files)
        self.assertEqual(harness.served(cluster.port), before["sha256"],
                         "nothing made PostgreSQL forget its TLS")
        conf.write_text(with_line)
        self.goes_on(cluster, daemon)

    def test_the_same_values_are_no_override(self):
        cluster, daemon = self.set_up()
        directory = daemon.policy["certificates"]["server"]["directory"]
        cluster.sql("alter system set ssl = 'yes'")
        cluster.sql(f"alter system set ssl_cert_file = '{directory}/server-cert.pem'")
        cluster.sql("select pg_reload_conf()")
        self.goes_on(cluster, daemon)

    def test_what_the_owner_may_not_see(self):
        """Without a superuser of the owner's name nobody says what is in force: it goes on."""
        cluster, daemon = self.set_up()
        cluster.sql('create role other superuser login')
        # From 16 on the first role stays a superuser, so it gets another name.
        cluster.psql(f"host={cluster.directory} user=other dbname=postgres",
                     f'alter role "{ME}" rename to first; create role "{ME}" login')
        self.goes_on(cluster, daemon)


if __name__ == "__main__":
    harness.main()
