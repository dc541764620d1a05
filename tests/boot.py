"""Boots a real systemd as process 1 and runs one test file in it, as root.

    boot.py system_NAME.py
    boot.py --check

Nothing of the machine is changed: in namespaces of its own a layer in memory lies over the machine's
root directory, pgcertd is installed into it as a package would be, and systemd boots there in half a
second. The test file is a unit; its output and its exit status come out. A test that exits with
REBOOT is run again after another boot over the same layer.

    PGCERTD_BUILD           a build tree that was set up with --prefix=/usr

Exits 77, with the reason, where there are no namespaces to be had, no systemd or no root.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(os.environ.get("PGCERTD_SOURCE") or pathlib.Path(__file__).parents[1]).resolve()
SKIPPED = 77
REBOOT = 100
BOOTS_MAX = 8
PLACE = "/run/pgcertd-tests"  # in the booted system: source, build, out
PYTHON = "/usr/bin/python3"
SYSTEMD = "/lib/systemd/systemd"
# No process in there may set the one clock of the kernel, load a module, or reboot the machine.
DROPPED = ("sys_time", "sys_module", "sys_boot", "sys_rawio", "wake_alarm", "mac_admin",
           "mac_override", "syslog")

TEST_UNIT = """\
[Unit]
Description=The test
After=basic.target dbus.service
Wants=dbus.service
SuccessAction=exit-force
FailureAction=exit-force

[Service]
Type=exec
ExecStart={python} -B {place}/source/tests/{script}
WorkingDirectory={place}
Environment=PGCERTD_SOURCE={place}/source PGCERTD_BUILD={build} PGCERTD_BOOT={boot} LC_ALL=C.UTF-8
Environment=PYTHONPATH={place}/source/tests HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
StandardOutput=append:{place}/out/stdout
StandardError=append:{place}/out/stderr
TimeoutStartSec=infinity
"""


def run(*arguments, **more):
    subprocess.run([str(a) for a in arguments], check=True, **more)


def mount(kind, where, *options, source=None):
    where.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", kind, *options, source or kind, where)


def bind(source, where):
    where.mkdir(parents=True, exist_ok=True)
    run("mount", "--bind", source, where)


def lay_over(memory, script):
    """The layer that all boots of this run share."""
    mount("tmpfs", memory, "-o", "mode=755")
    for name in ("upper", "work", "root"):
        (memory / name).mkdir()
    (memory / "upper").chmod(0o755)
    root = memory / "root"
    mount("overlay", root, "-o",
          f"lowerdir=/,upperdir={memory}/upper,workdir={memory}/work", source="pgcertd-tests")
    # What the machine starts by itself is none of the test's business.
    for folder in (root / "etc/systemd/system").glob("*.wants"):
        shutil.rmtree(folder)
    for name in ("var/lib/pgcertd", "var/lib/pgcertd-signer", "etc/pgcertd"):
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "etc/machine-id").write_text("5a2f0e6c0b7c4e3c9a0d8b1f3e6a7100\n")
    # As Debian has it; a container's may lack the second line, which PostgreSQL listens on, too.
    (root / "etc/hosts").unlink(missing_ok=True)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    if "\nINSTALLS_ITSELF = True" in (SOURCE / "tests" / script).read_text():
        return root
    options = json.loads(subprocess.run(
        ["meson", "introspect", "--buildoptions", os.environ["PGCERTD_BUILD"]],
        check=True, capture_output=True, text=True).stdout)
    if not any(o["name"] == "prefix" and o["value"] == "/usr" for o in options):
        print("the build was not set up with --prefix=/usr", file=sys.stderr)
        sys.exit(SKIPPED)
    run("meson", "install", "-C", os.environ["PGCERTD_BUILD"], "--no-rebuild", "--quiet",
        env={**os.environ, "DESTDIR": str(root)}, stdout=subprocess.DEVNULL)
    return root


def devices(dev):
    mount("tmpfs", dev, "-o", "mode=755,size=1M")
    for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)):
        run("mknod", "-m", "666", dev / name, "c", 1, minor)
    run("mknod", "-m", "666", dev / "tty", "c", 5, 0)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"),
                         ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")):
        (dev / name).symlink_to(target)
    mount("tmpfs", dev / "shm", "-o", "mode=1777")
    mount("devpts", dev / "pts", "-o", "newinstance,ptmxmode=0666,mode=620")
    (dev / "ptmx").symlink_to("pts/ptmx")


def become_systemd(root, out, script, boot):
    """Process 1 of a new process namespace: never returns."""
    run("mount", "--make-rprivate", "/")
    run("mount", "--rbind", root, root)
    mount("proc", root / "proc", "-o", "nosuid,nodev,noexec")
    mount("sysfs", root / "sys", "-o", "ro,nosuid,nodev,noexec")
    mount("cgroup2", root / "sys/fs/cgroup", "-o", "nosuid,nodev,noexec")
    mount("tmpfs", root / "run", "-o", "mode=755,nosuid,nodev")
    for name in ("tmp", "var/tmp"):
        mount("tmpfs", root / name, "-o", "mode=1777,nosuid,nodev")
    devices(root / "dev")
    place = root / PLACE.lstrip("/")
    for name, source in (("source", SOURCE), ("out", out)):
        bind(source, place / name)
    # An installation from within finds both where they are outside; what it writes stays inside.
    build = pathlib.Path(os.environ["PGCERTD_BUILD"]).resolve()
    bind(SOURCE, root / str(SOURCE).lstrip("/"))
    layer = root.parent / "build"
    for name in ("upper", "work"):
        (layer / name).mkdir(parents=True, exist_ok=True)
    mount("overlay", root / str(build).lstrip("/"), "-o",
          f"lowerdir={build},upperdir={layer}/upper,workdir={layer}/work", source="pgcertd-tests")
    (root / "run/systemd/system").mkdir(parents=True)
    (root / "run/systemd/system/under-test.service").write_text(TEST_UNIT.format(
        python=PYTHON, place=PLACE, script=script, boot=boot, build=build))
    os.chdir(root)
    run("pivot_root", ".", "run")
    os.chroot(".")
    os.chdir("/")
    run("umount", "-l", "/run")
    # As on a machine: what is mounted later, credentials too, is seen in the units.
    run("mount", "--make-rshared", "/")
    os.execve("/usr/bin/setpriv", ["setpriv",
              "--bounding-set=" + ",".join(f"-{name}" for name in DROPPED),
              SYSTEMD, "--system", "--unit=under-test.service"],
              {"container": "pgcertd-tests", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
               "SYSTEMD_LOG_TARGET": "journal"})


def in_namespaces(memory, out, script):
    """Boots until the test has nothing more to boot for."""
    root = lay_over(memory, script)
    for boot in range(BOOTS_MAX):
        status = subprocess.run(
            ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--fork",
             "--kill-child", PYTHON, "-B", __file__, "--process-1", root, out, script, str(boot)],
            stdin=subprocess.DEVNULL, stdout=open(out / "console", "ab"),
            stderr=subprocess.STDOUT, check=False).returncode
        if status != REBOOT:
            return status
    return 1


def can_boot():
    if os.geteuid() != 0:
        return "a boot needs root"
    if not os.access(SYSTEMD, os.X_OK) or not os.access("/usr/bin/setpriv", os.X_OK):
        return "there is no systemd, or no setpriv, on this machine"
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="pgcertd-boot.") as place:
        attempt = (f"mount -t tmpfs tmpfs {place} && mkdir {place}/u {place}/w {place}/r {place}/c && "
                   f"mount -t overlay o {place}/r -o lowerdir=/,upperdir={place}/u,workdir={place}/w &&"
                   f" mount -t cgroup2 c {place}/c && mount -t proc proc {place}/r/proc")
        done = subprocess.run(["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup",
                               "--fork", "sh", "-c", attempt], capture_output=True, text=True,
                              check=False)
    return f"no namespaces or no overlay here: {done.stderr.strip()}" if done.returncode else None


def main():
    if sys.argv[1] == "--namespaces":
        sys.exit(in_namespaces(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4]))
    if sys.argv[1] == "--process-1":
        become_systemd(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4], sys.argv[5])
    reason = can_boot()
    if reason:
        print(reason, file=sys.stderr)
        sys.exit(SKIPPED)
    if sys.argv[1] == "--check":
        sys.exit(0)
    place = pathlib.Path(tempfile.mkdtemp(dir="/var/tmp", prefix="pgcertd-boot."))
    out = place / "out"
    (place / "memory").mkdir()
    out.mkdir()
    for name in ("stdout", "stderr", "console"):
        (out / name).touch()
    done = subprocess.run(["unshare", "--mount", PYTHON, "-B", __file__, "--namespaces",
                           place / "memory", out, sys.argv[1]], check=False)
    sys.stdout.write((out / "stdout").read_text(errors="replace"))
    sys.stderr.write((out / "stderr").read_text(errors="replace"))
    if done.returncode:
        print((out / "console").read_text(errors="replace")[-4000:], file=sys.stderr)
    shutil.rmtree(place)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
