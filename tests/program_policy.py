"""--check and --print on good and broken policies, by the built program."""

import os
import re

import harness
from harness import Scene


class PolicyFiles(Scene):
    def daemon(self, edit=None):
        cluster = self.postgres(start=False)
        policy = self.basic_policy(cluster)
        if edit:
            edit(policy)
        return self.pgcertd(policy)

    def test_a_good_policy_is_accepted_and_nothing_started(self):
        daemon = self.daemon()
        before = sorted(os.listdir(daemon.directory))
        done = daemon.run("--check")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(sorted(os.listdir(daemon.directory)), before)

    def test_print_reads_back_to_the_same(self):
        daemon = self.daemon()
        printed = daemon.run("--check", "--print").stdout
        self.assertIn("check_every", printed)
        self.assertIn("renew_before", printed, "defaults are shown")
        daemon.write(printed)
        self.assertEqual(daemon.run("--check", "--print").stdout, printed)

    def test_every_error_of_a_file_is_told_in_one_run(self):
        daemon = self.daemon()
        text = daemon.policy_file.read_text()
        text = text.replace('lifetime: "30d"', 'lifetime: "30 dayz"')
        text = text.replace('use: "server"', 'use: "sever"')
        text += "cluster: 1\n"
        daemon.write(text)
        done = daemon.run("--check", check=False)
        self.assertEqual(done.returncode, 1)
        told = done.stdout + done.stderr
        places = re.findall(rf"{re.escape(str(daemon.policy_file))}:(\d+):(\d+): (.*)", told)
        self.assertGreaterEqual(len(places), 3, told)
        for word in ("30 dayz", "sever", "cluster"):
            self.assertTrue(any(word in sentence for _, _, sentence in places), (word, told))
        self.assertIn("HINT: ", told)

    def test_a_broken_policy_stops_the_service_before_it_changes_anything(self):
        def edit(policy):
            policy["certificates"]["server"]["authority"] = "other"
        daemon = self.daemon(edit)
        self.assertEqual(daemon.run("--check", check=False).returncode, 1)
        done = daemon.run("--once", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse(os.path.exists(daemon.policy["certificates"]["server"]["directory"]))
        self.assertEqual([p for p in daemon.state.rglob("*.key")] if daemon.state.exists() else [],
                         [])

    def test_a_missing_policy_is_told_by_name(self):
        daemon = self.daemon()
        daemon.policy_file.unlink()
        done = daemon.run("--check", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("pgcertd.yaml", done.stdout + done.stderr)

    def test_files_of_conf_d_are_part_of_it(self):
        daemon = self.daemon()
        (daemon.directory / "conf.d").mkdir()
        more = daemon.directory / "conf.d" / "10-more.yaml"
        more.write_text("version: 1\ncertificates:\n  more:\n    use: client\n    authority: main\n"
                        f"    role: more\n    directory: {self.directory}/more\n"
                        f"    owner: {harness.ME}\n")
        self.assertIn("role: more", daemon.run("--check", "--print").stdout.replace('"', ""))
        more.write_text("version: 1\nnonsense: 1\n")
        done = daemon.run("--check", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("10-more.yaml:2:", done.stdout + done.stderr)

    def test_wrong_usage_exits_3(self):
        daemon = self.daemon()
        for arguments in (["--chekc"], ["--once", "--plan"], ["stray"], ["--policy"]):
            done = harness.run(harness.program("pgcertd"), *arguments, check=False)
            self.assertEqual(done.returncode, 3, arguments)
            self.assertTrue(done.stderr, arguments)
        self.assertEqual(daemon.run("--help").returncode, 0)
        self.assertRegex(daemon.run("--version").stdout, r"\d+\.\d+")


if __name__ == "__main__":
    harness.main()
