"""`up`: one ground in one directory, from the first process to the last trace of it.

It stays in the foreground, so that whoever started it also ends it: by a signal, or, with `until_eof`, by
closing its standard input, which the kernel does even for a parent that was killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from . import gobuild, pytools
from .aws import Aws
from .controlplane import PROGRAMS, ControlPlane
from .processes import ChildDied, Children
from .workspace import GroundError, say, write_json

# What one run leaves in its directory and the next one in the same directory must not find.
REMAINS = ("etcd", "apiserver", "aws", "kubectl", "logs", "audit.log", "kubeconfig", "tokens.csv",
           "kube-controller-manager.kubeconfig", "service-accounts.key", "ground.json")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop(BaseException):
    """Somebody wants the ground to end. Not an error, and not to be caught by code that handles errors."""


def prepare(with_kubernetes: bool = True, with_aws: bool = True) -> None:
    """Build and install whatever is missing."""
    gobuild.build([*(PROGRAMS if with_kubernetes else ()), "kubectl", "helm"])
    if with_aws:
        pytools.install()


def up(home: Path, with_kubernetes: bool, with_aws: bool, until_eof: bool, crds: list[Path]) -> int:
    """Start everything, say so, and stay until told to stop."""
    home = home.resolve()
    for number in ENDING:
        signal.signal(number, _stop)
    if until_eof:
        threading.Thread(target=_stop_at_eof, daemon=True).start()
    try:
        prepare(with_kubernetes, with_aws)
        os.umask(0o077)  # what follows writes tokens and keys
        home.mkdir(parents=True, exist_ok=True)
        with _claimed(home):
            _live(home, with_kubernetes, with_aws, crds)
    except Stop:
        pass
    return 0


def _live(home: Path, with_kubernetes: bool, with_aws: bool, crds: list[Path]) -> None:
    children = Children(home / "logs")
    try:
        _start(home, with_kubernetes, with_aws, crds, children)
        print(f"ready {home / 'ground.json'}", flush=True)
        children.wait_for_a_death()
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        children.stop()
        (home / "ground.json").unlink(missing_ok=True)


def holder(home: Path) -> int | None:
    """The process id of the `up` that has this directory, if one has."""
    try:
        with open(home / "ground.lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0)
    except FileNotFoundError:
        pass
    return None


@contextmanager
def _claimed(home: Path) -> Iterator[None]:
    """One ground per directory: the lock lasts exactly as long as the process that holds it."""
    with open(home / "ground.lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GroundError(f"process {holder(home)} is using {home}") from None
        lock.truncate(0)
        print(os.getpid(), file=lock, flush=True)
        yield


def _start(home: Path, with_kubernetes: bool, with_aws: bool, crds: list[Path], children: Children) -> None:
    for attempt in (1, 2, 3):
        try:
            return _start_once(home, with_kubernetes, with_aws, crds, children)
        except ChildDied as death:
            if attempt == 3 or not death.port_was_taken():
                raise
            say("a port was taken by another program meanwhile; trying others")
            children.stop()


def _start_once(home: Path, with_kubernetes: bool, with_aws: bool, crds: list[Path], children: Children) -> None:
    begun = time.monotonic()
    for name in REMAINS:
        path = home / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    aws = Aws(home / "aws", children) if with_aws else None
    if aws:
        aws.start()
    kubernetes = ControlPlane(home, children) if with_kubernetes else None
    started: list[str] = []
    told: dict[str, Any] = {}
    if kubernetes:
        kubernetes.start()
        version = kubernetes.wait(crds)
        started.append(f"Kubernetes {version}")
        told = {"kubeconfig": str(kubernetes.kubeconfig), "server": kubernetes.server,
                "caFile": str(kubernetes.ca_file), "auditLog": str(kubernetes.audit_log), "serverVersion": version}
    if aws:
        aws.wait()
        started.append("an AWS")
    say(f"{' and '.join(started)} ready in {time.monotonic() - begun:.1f} s")
    write_json(home / "ground.json", {**told, **_description(aws, children)})


def _description(aws: Aws | None, children: Children) -> dict[str, Any]:
    """What ground.json says besides how to reach Kubernetes."""
    bin_ = {name: str(gobuild.path_of(name)) for name in ("kubectl", "helm")}
    told: dict[str, Any] = {"bin": bin_, "pids": {"launcher": os.getpid(), **children.pids()}}
    if aws:
        bin_.update({name: str(pytools.tool(name)) for name in ("aws", "python")})
        told["aws"] = {"endpoint": aws.endpoint}
    return told


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stop


def _stop_at_eof() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
