"""Tries what a program of pgcertd that was taken over might try, and says what came of each.

    sandbox.py [NAME=VALUE...]

prints one JSON object: for each attempt "done", or the error. Run in a unit's sandbox by
system_hardening.py, and outside of it as root, where all of it succeeds.
"""

import contextlib
import errno
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import time

WANTED = dict(argument.split("=", 1) for argument in sys.argv[1:])


def read(path):
    with open(path, "rb") as file:
        file.read(1)


def write(path):
    with open(path, "wb") as file:
        file.write(b"x")
    os.unlink(path)


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(5)
        one.connect(address)


def other_processes():
    pid = WANTED["pid"]
    os.listdir(f"/proc/{pid}/root/")


def system_manager():
    done = subprocess.run(["systemd-run", "--no-ask-password", "--quiet", "--wait", "true"],
                          capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise PermissionError(errno.EPERM, done.stderr.strip())


def python(code):
    """In a process of its own, since it changes the process."""
    done = subprocess.run([sys.executable, "-c", "import ctypes, mmap, os, socket\n" + code],
                          capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise PermissionError(errno.EPERM, (done.stderr.strip().splitlines() or
                                            [f"status {done.returncode}"])[-1])


def set_user_bit():
    path = WANTED["own"] + "/suid"
    try:
        with open(path, "wb"):
            pass
        os.chmod(path, 0o4755)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def later():
    """A directory that is made while we run."""
    deadline = time.monotonic() + 20
    while not os.path.isdir(WANTED["later"]) or os.stat(WANTED["later"]).st_uid != os.getuid():
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, "it did not come")
        time.sleep(0.05)
    write(WANTED["later"] + "/x")


def capability():
    with open("/proc/self/status", encoding="ascii") as file:
        sets = [line.split()[1] for line in file if line.startswith("Cap")]
    if all(int(value, 16) == 0 for value in sets):
        raise PermissionError(errno.EPERM, "no capability")


ATTEMPTS = {
    "read the CA key": lambda: read(WANTED["ca_key"]),
    "read the server's key": lambda: read(WANTED["server_key"]),
    "read a client's key": lambda: read(WANTED["client_key"]),
    "read the shadow file": lambda: read("/etc/shadow"),
    "write beside the policy": lambda: write("/etc/pgcertd/x"),
    "write a unit": lambda: write("/etc/systemd/system/x.service"),
    "write into the server's directory": lambda: write(WANTED["server_directory"] + "/x"),
    "write into a client's directory": lambda: write(WANTED["client_directory"] + "/x"),
    "write into the state of pgcertd": lambda: write("/var/lib/pgcertd/x"),
    "write into the state of the signer": lambda: write("/var/lib/pgcertd-signer/x"),
    "write a program": lambda: write("/usr/bin/x"),
    "connect over the network": lambda: connect(socket.AF_INET, ("127.0.0.1", 5432)),
    "connect to the signer": lambda: connect_packets("/run/pgcertd/signer.sock"),
    "connect to the worker of app": lambda: connect_packets("/run/pgcertd/worker-app.sock"),
    "look into another process": other_processes,
    "kill a process of another": lambda: os.kill(int(WANTED["pid"]), 0),
    "have systemd run something": system_manager,
    "become root": lambda: python("os.setuid(0)"),
    "make a namespace": lambda: python(
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "assert libc.unshare(0x20000) == 0, os.strerror(ctypes.get_errno())"),
    "have writable memory that runs": lambda: python(
        "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)"),
    "make a set-user-ID file": set_user_bit,
    "open a raw socket": lambda: python(
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)"),
    "talk to the kernel by netlink": lambda: python(
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)"),
    "hold a capability": capability,
    "write into a directory that is made later": later,
    "see what others put into /tmp": lambda: read(WANTED["tmp"]),
}


def connect_packets(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        one.connect(path)


def main():
    signal.signal(signal.SIGSYS, signal.SIG_DFL)
    found = {}
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
            found[name] = "done"
        except KeyError:
            pass  # not asked for
        except OSError as error:
            found[name] = f"{errno.errorcode.get(error.errno, '?')}: {error}"
        except Exception as error:  # whatever stopped it
            found[name] = f"?: {error!r}"
    print(json.dumps(found))


if __name__ == "__main__":
    main()
