"""Promise 8: without pgcertd, the commands of pgcertd(8) renew a certificate with openssl alone.

Here as the user that pgcertd was started as; system_credential.py has the installed service."""

import os
import re

import harness
from harness import SOURCE, Scene, run, wait_until


def page_commands():
    """The commands of the manual's break-glass section, as a shell reads them."""
    page = (SOURCE / "man/pgcertd.8").read_text()
    section = page[page.index(".Ss Break-glass"):page.index(".Sh DIAGNOSTICS")]
    blocks = re.findall(r"(?s)\.Bd -literal[^\n]*\n(.*?)\.Ed", section)
    return re.sub(r"(?m)^\$ ", "", "".join(blocks)).replace("\\e", "\\")


class BreakGlass(Scene):
    def test_the_manual_renews_with_openssl_alone(self):
        cluster = self.postgres()
        policy = self.basic_policy(cluster)
        server = policy["certificates"]["server"]
        del server["files"]
        server["names"] = ["db1.example.com", "localhost"]
        daemon = self.pgcertd(policy)
        daemon.once()
        before = harness.served(cluster.port)
        keys = [p for p in daemon.state.rglob("*") if p.is_file() and
                "PRIVATE KEY" in p.read_text(errors="replace")]
        self.assertEqual(keys, [daemon.state / "signer/ca/main/G1.key"], "one CA, one key")

        commands = page_commands()
        self.assertIn("openssl x509 -req", commands)
        for shown, here in (("/etc/postgresql/ssl", server["directory"]),
                            ("/var/lib/pgcertd-signer", f"{daemon.state}/signer"),
                            ("as='runuser -u postgres --'", "as="),
                            ("psql ", f"psql -X -h {cluster.directory} -p {cluster.port} "
                             f"-U {harness.ME} postgres ")):
            self.assertIn(shown, commands)
            commands = commands.replace(shown, here)
        run("bash", "-eu", "-c", commands)
        wait_until(lambda: harness.served(cluster.port) not in (None, before), "the new leaf")
        cluster.psql(self.conninfo(daemon, host="db1.example.com"))
        daemon.once(expect=1)
        self.assertFalse(os.path.islink(f"{server['directory']}/server.crt"), "left alone")
        os.unlink(f"{server['directory']}/server.crt")
        daemon.once()
        self.assertTrue(os.path.islink(f"{server['directory']}/server.crt"))
        self.assertEqual(harness.served(cluster.port), harness.pem_facts(
            f"{server['directory']}/server.crt")["sha256"])


if __name__ == "__main__":
    harness.main()
