"""A ground with a node lives in namespaces of its own, so that all of it ends with one process.

A node leaves traces wherever it goes: bridges and packet filters, mounts, processes that detach from whoever
started them. In namespaces of its own (network, mounts, processes, IPC, control groups) the kernel removes all of
that with the namespaces' first process, even when the launcher is killed by SIGKILL: then this process dies of
it, too. Two grounds with nodes do not see each other, and no setting of the machine is changed.

What outlives its processes are control groups, files, and for minutes a network in which a connection was open. A
small process on the outside, the undertaker, waits for the launcher's end, however that comes, and removes them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

from . import cgroups
from .processes import die_with
from .workspace import HERE, GroundError, write_json

PATIENCE = 10.0
NAMESPACES = ("--net", "--mount", "--pid", "--ipc", "--mount-proc")


def enclose(home: Path, claim: int, plan: str) -> int:
    """Run this plan inside, announce it here, stay until one of the two ends; the exit code. `claim` is the open lock
    of the directory: it stays taken until the undertaker is done with it."""
    for group in cgroups.abandoned():
        cgroups.remove(group)
    _disconnect(lambda owner: owner.startswith(cgroups.PREFIX) and not Path("/proc", owner.rpartition("-")[2]).exists())
    undertaker = _undertaker(home, claim)
    parent = os.getpid()
    outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        # The first process inside is PID 1 there. unshare(1) dies with us and takes it along.
        inner = subprocess.Popen(["unshare", *NAMESPACES, "--fork", "--kill-child=SIGKILL",
                                  sys.executable, str(HERE / "ground"), "inside", str(home), str(outside),
                                  f"{cgroups.PREFIX}{parent}", plan],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, pass_fds=[outside],
                                 start_new_session=True, preexec_fn=lambda: die_with(parent))
        try:
            assert inner.stdout is not None
            if not inner.stdout.readline().startswith("ready "):
                return inner.wait() or 1
            _publish(home, inner.pid)
            print(f"ready {home / 'ground.json'}", flush=True)
            return inner.wait()
        finally:
            _end(inner)
    finally:
        os.close(outside)
        assert undertaker.stdin is not None
        undertaker.stdin.close()
        undertaker.wait()


def bury(home: Path, launcher: int) -> int:
    """The undertaker: wait for the launcher's end, then remove what the kernel does not."""
    while os.read(0, 4096):
        pass
    name = f"{cgroups.PREFIX}{launcher}"
    deadline = time.monotonic() + PATIENCE
    while True:
        left = [hierarchy.at / name for hierarchy in cgroups.hierarchies() if (hierarchy.at / name).exists()]
        for group in left:
            cgroups.remove(group)
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    _disconnect(lambda owner: owner == name)
    shutil.rmtree(home / "node", ignore_errors=True)
    return 1 if left else 0


def _disconnect(is_gone: Callable[[str], bool]) -> None:
    """Remove the machine's end of the pairs whose owners are gone; the other end goes with it."""
    listed = subprocess.run(["ip", "-json", "link", "show"], capture_output=True, text=True).stdout
    for link in json.loads(listed or "[]"):
        if is_gone(link.get("ifalias", "")):
            subprocess.run(["ip", "link", "delete", link["ifname"]], capture_output=True)


def _undertaker(home: Path, claim: int) -> subprocess.Popen[bytes]:
    # In a session of its own, so that a Ctrl-C or a kill of the group does not reach it.
    return subprocess.Popen([sys.executable, str(HERE / "ground"), "bury", str(home), str(os.getpid())],
                            stdin=subprocess.PIPE, pass_fds=[claim], start_new_session=True)


def _end(inner: subprocess.Popen[str]) -> None:
    """Asked, then killed; its group is unshare(1), which does not listen, and the first process inside."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(inner.pid, number)
            inner.wait(PATIENCE)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue


def _publish(home: Path, unshare: int) -> None:
    """Inside, processes have other numbers than here; ground.json is for readers on the outside."""
    told = json.loads((home / "ground.json").read_text())
    here = _numbers_here(unshare)
    told["pids"] = {"launcher": os.getpid(), "inside": here[1],
                    **{name: here[pid] for name, pid in told["pids"].items() if name != "launcher"}}
    write_json(home / "ground.json", told)


def _numbers_here(unshare: int) -> dict[int, int]:
    """Process numbers inside, and what they are here."""
    children = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()
    if not children:
        raise GroundError("the ground's first process ended while it started")
    inside = os.readlink(f"/proc/{children[0]}/ns/pid")
    numbers = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "ns" / "pid") == inside:
                status = (process / "status").read_text()
                numbers[int(status.partition("NSpid:")[2].split("\n")[0].split()[-1])] = int(process.name)
        except OSError:
            pass  # it ended
    return numbers
