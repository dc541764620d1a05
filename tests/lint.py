"""clang-tidy and scan-build over the programs, without findings.

    PGCERTD_BUILD=build python3 tests/lint.py [Lint.test_NAME]

clang-tidy reads .clang-tidy and the compile commands of the build. scan-build makes a build of its
own in a temporary directory, with the checks that .clang-tidy leaves out left out, too.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("PGCERTD_SOURCE") or pathlib.Path(__file__).parents[1])
BUILD = pathlib.Path(os.environ.get("PGCERTD_BUILD", SOURCE / "build"))
ANALYZER = SOURCE / "tests/analyzer.h"
# They define what the header would turn into macros.
PLAIN = {SOURCE / "common/error.c", SOURCE / "common/crypto.c"}


def tidy(path):
    include = [] if path in PLAIN else ["--extra-arg=-include", f"--extra-arg={ANALYZER}"]
    done = subprocess.run(["clang-tidy", "-p", str(BUILD), "--quiet", *include, str(path)],
                          capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


class Lint(unittest.TestCase):
    @unittest.skipUnless(shutil.which("clang-tidy"), "clang-tidy is missing")
    def test_clang_tidy(self):
        commands = json.loads((BUILD / "compile_commands.json").read_text())
        files = sorted({(pathlib.Path(c["directory"]) / c["file"]).resolve() for c in commands})
        files = [f for f in files if f.relative_to(SOURCE).parts[0] in ("common", "daemon")]
        self.assertGreater(len(files), 100)
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            found = "".join(pool.map(tidy, files))
        self.assertFalse(found, found)

    @unittest.skipUnless(shutil.which("scan-build"), "scan-build is missing")
    def test_scan_build(self):
        off = re.findall(r"-clang-analyzer-([\w.]+)", (SOURCE / ".clang-tidy").read_text())
        self.assertIn("unix.Malloc", off)
        with tempfile.TemporaryDirectory() as place:
            scan = ["scan-build", "--status-bugs", "-o", f"{place}/report", "--use-cc=clang",
                    *(word for checker in off for word in ("-disable-checker", checker))]
            environment = {**os.environ, "CFLAGS": f"-include {ANALYZER}"}
            subprocess.run([*scan, "meson", "setup", f"{place}/build", str(SOURCE),
                            "-Dtests=false"], check=True, capture_output=True, env=environment)
            done = subprocess.run([*scan, "ninja", "-C", f"{place}/build"], capture_output=True,
                                  text=True, env=environment)
        self.assertEqual(done.returncode, 0, done.stdout[-8000:] + done.stderr[-8000:])


if __name__ == "__main__":
    unittest.main()
