"""`up`: one ground in one directory, from the first process to the last trace of it.

It stays in the foreground, so that whoever started it also ends it: by a signal, or, with `until_eof`, by
closing its standard input, which the kernel does even for a parent that was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from . import gobuild, images, isolation, node, pytools
from .adopted import Adopted
from .aws import Aws
from .controlplane import CONTROLLERS, PROGRAMS, SERVICES, ControlPlane
from .inside import Network, furnish
from .metadata import Metadata
from .node import Node
from .processes import LOOPBACK, ChildDied, Children
from .workspace import GroundError, say, write_json

# What one run leaves in its directory and the next one in the same directory must not find.
REMAINS = ("etcd", "apiserver", "aws", "kubectl", "logs", "audit.log", "kubeconfig", "tokens.csv",
           "kube-controller-manager.kubeconfig", "service-accounts.key", "kubelet-client.crt", "kubelet-client.key",
           "node", "ca.crt", "helm", "ground.json")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop(BaseException):
    """Somebody wants the ground to end. Not an error, and not to be caught by code that handles errors."""


class Plan(NamedTuple):
    """What is wanted."""

    kubernetes: bool = True
    aws: bool = True
    crds: tuple[str, ...] = ()
    node: bool = False
    # With kube-controller-manager.
    controllers: bool = True
    # With an etcd that writes to the disk, and with etcd and an API server that are started again when they have died.
    durable: bool = False
    # With the kubelet's own settings instead of those that let a changed Secret reach its pod in seconds.
    patient_kubelet: bool = False
    # With the metadata endpoint that gives every pod the node's own AWS role.
    node_role: bool = False
    # Where the images of the tests are, once they are made.
    images: str = ""
    # A cluster that is there already, the command that gives images to it, and this machine's address as it sees it.
    kubeconfig: str = ""
    load_images: str = ""
    host: str = ""


def prepare(plan: Plan) -> Plan:
    """Build and install whatever is missing; the plan with what is known afterwards."""
    if plan.kubeconfig:
        gobuild.build(["kubectl", "helm", *images.PROGRAMS])
        pytools.install()
        return plan._replace(images=str(images.archive()))
    if plan.node and gobuild.chosen() != gobuild.newest():
        raise GroundError(f"a node runs Kubernetes {gobuild.newest()}, and GROUND_KUBERNETES is {gobuild.chosen()}")
    missing = node.missing() if plan.node else None
    if missing:
        raise GroundError(missing)
    control_plane = (*PROGRAMS, *((CONTROLLERS,) if plan.controllers else ()))
    with ThreadPoolExecutor(1) as beside:
        tools = beside.submit(pytools.install) if plan.aws or plan.node else None
        gobuild.build([*(control_plane if plan.kubernetes else ()), "kubectl", "helm",
                       *((*node.PROGRAMS, *images.PROGRAMS) if plan.node else ())])
        if tools:
            tools.result()
    return plan._replace(images=str(images.prepare())) if plan.node else plan


def up(home: Path, plan: Plan, until_eof: bool) -> int:
    """Start everything, say so, and stay until told to stop."""
    home = home.resolve()
    _stop_when_told()
    if until_eof:
        threading.Thread(target=_stop_at_eof, daemon=True).start()
    try:
        plan = prepare(plan)
        os.umask(0o077)  # what follows writes tokens and keys
        home.mkdir(parents=True, exist_ok=True)
        with _claimed(home) as claim:
            if plan.node:
                images.use(Path(plan.images))
                return isolation.enclose(home, claim, json.dumps(plan._asdict()))
            _live(home, plan, None)
    except Stop:
        pass
    return 0


def inside(home: Path, outside: int, group: str, plan: str) -> int:
    """The same as the first process in the namespaces that `isolation` made."""
    _stop_when_told()
    try:
        _clear(home)
        try:
            network = furnish(home, outside, group, SERVICES)
        except OSError as error:
            raise GroundError(f"no room for a node on this machine: {error}") from error
        _live(home, Plan(**json.loads(plan)), network)
    except Stop:
        pass
    return 0


def _live(home: Path, plan: Plan, network: Network | None) -> None:
    children = Children(home / "logs")
    adopted = Adopted(home, plan.kubeconfig, plan.load_images, plan.host) if plan.kubeconfig else None
    try:
        _start(home, plan, network, children, adopted)
        print(f"ready {home / 'ground.json'}", flush=True)
        children.wait_for_a_death()
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        if adopted:
            adopted.remove()
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
def _claimed(home: Path) -> Iterator[int]:
    """One ground per directory: the lock lasts exactly as long as the process that holds it."""
    with open(home / "ground.lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GroundError(f"process {holder(home)} is using {home}") from None
        lock.truncate(0)
        print(os.getpid(), file=lock, flush=True)
        yield lock.fileno()


def _start(home: Path, plan: Plan, network: Network | None, children: Children, adopted: Adopted | None) -> None:
    for attempt in (1, 2, 3):
        try:
            return _start_once(home, plan, network, children, adopted)
        except ChildDied as death:
            # With a node nobody else has ports here.
            if network or attempt == 3 or not death.port_was_taken():
                raise
            say("a port was taken by another program meanwhile; trying others")
            children.stop()


def _start_once(home: Path, plan: Plan, network: Network | None, children: Children, adopted: Adopted | None) -> None:
    begun = time.monotonic()
    if network is None:
        _clear(home)
    if adopted:
        adopted.begin()
    address = network.node if network else adopted.host if adopted else LOOPBACK
    aws = Aws(home / "aws", children, address) if plan.aws else None
    if aws:
        aws.start()
    started: list[str] = []
    told: dict[str, Any] = {}
    if adopted:
        told = adopted.start(Path(plan.images), plan.crds)
        started = [f"somebody's Kubernetes {told['serverVersion']} at {told['server']}"]
    elif plan.kubernetes:
        started, told = _start_kubernetes(home, plan, network, children)
    if aws:
        aws.wait()
        started.append("an AWS")
    say(f"{' and '.join(started)} ready in {time.monotonic() - begun:.1f} s")
    write_json(home / "ground.json", {**told, **_description(aws, children)})


def _start_kubernetes(home: Path, plan: Plan, network: Network | None,
                      children: Children) -> tuple[list[str], dict[str, Any]]:
    """What was started, and what ground.json says of it."""
    address, users = (network.node, node.USERS) if network else (LOOPBACK, {})
    kubernetes = ControlPlane(home, children, address, users, plan.controllers, plan.durable)
    kubernetes.start()
    ours = Node(home / "node", children, network, images.NAMES["pause"], plan.patient_kubelet) if network else None
    if ours:
        ours.begin(Path(plan.images))
    version = kubernetes.wait([Path(path) for path in plan.crds])
    started = [f"Kubernetes {version}"]
    told: dict[str, Any] = {
        "kubeconfig": str(kubernetes.kubeconfig), "server": kubernetes.server, "caFile": str(kubernetes.ca_file),
        "auditLog": str(kubernetes.audit_log), "serverVersion": version}
    if ours and network:
        ours.start(kubernetes)
        metadata = Metadata(home, children) if plan.node_role else None
        if metadata:
            metadata.start()
        ours.wait(kubernetes)
        started.append("a node")
        told["node"] = {"name": node.NAME, "address": network.node, "host": network.host, "images": images.NAMES,
                        **({"metadata": metadata.told()} if metadata else {})}
    return started, told


def _clear(home: Path) -> None:
    for name in REMAINS:
        path = home / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _description(aws: Aws | None, children: Children) -> dict[str, Any]:
    """What ground.json says besides how to reach Kubernetes."""
    bin_ = {name: str(gobuild.path_of(name)) for name in ("kubectl", "helm")}
    told: dict[str, Any] = {"bin": bin_, "pids": {"launcher": os.getpid(), **children.pids()}}
    if aws:
        bin_.update({name: str(pytools.tool(name)) for name in ("aws", "python")})
        told["aws"] = aws.told()
    return told


def _stop_when_told() -> None:
    for number in ENDING:
        signal.signal(number, _stop)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stop


def _stop_at_eof() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
