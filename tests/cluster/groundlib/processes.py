"""Children that never outlive this process, free ports, and waiting with a deadline.

A control plane that survives its test is worse than none: it eats memory for days and answers the next
test. So there are two belts. Normally `Children.stop` ends every process group; and on Linux the kernel
kills each child when this process dies, even by SIGKILL.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, TypeVar

from .workspace import GroundError

Answer = TypeVar("Answer")
PR_SET_PDEATHSIG = 1
LOOPBACK = "127.0.0.1"
# Resolved here and not in the child: between fork and exec as little as possible should happen.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


class ChildDied(GroundError):
    """A process that should be running is not; `log` holds what it said last."""

    def __init__(self, name: str, status: int | None, log: Path) -> None:
        self.tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        super().__init__(f"{name} ended with {status}; the end of its log:\n{self.tail}")

    def port_was_taken(self) -> bool:
        """Between choosing a free port and binding it, somebody else may bind it."""
        return "already in use" in self.tail


class Children:
    """The processes of one ground, each with a log of its own."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._again: dict[str, list[str]] = {}

    def start_again(self, name: str, command: list[str]) -> None:
        """Start a child that is started again, by the same command, whenever it has died."""
        self._again[name] = command
        self.start(name, command)

    def start(self, name: str, command: list[str], env: dict[str, str] | None = None,
              cwd: Path | None = None, umask: int = -1) -> None:
        """Start a child in a process group of its own. Only to be called in the main thread: the kernel's
        death signal is sent when the *thread* that forked ends."""
        self._logs.mkdir(parents=True, exist_ok=True)
        parent = os.getpid()
        with open(self._log(name), "ab" if name in self._again else "wb") as log:
            self._running[name] = subprocess.Popen(
                command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, umask=umask, preexec_fn=lambda: die_with(parent))

    def pids(self) -> dict[str, int]:
        """Names and process ids, as ground.json shows them."""
        return {name: child.pid for name, child in self._running.items()}

    def check(self) -> None:
        """Raise `ChildDied` if one has."""
        for name, child in self._running.items():
            if child.poll() is not None:
                raise ChildDied(name, child.returncode, self._log(name))

    def wait_for_a_death(self) -> None:
        """Sleep until a child ends that is not to be started again, which is never good news; a signal handler may
        raise out of it."""
        while not self._running:
            signal.pause()
        while True:
            pid, status = os.waitpid(-1, 0)
            for name, child in list(self._running.items()):
                if child.pid == pid and name in self._again:
                    child.returncode = status
                    self.start(name, self._again[name])
                elif child.pid == pid:
                    child.returncode = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
                    raise ChildDied(name, child.returncode, self._log(name))

    def stop(self, patience: float = 1.0) -> None:
        """End them all. They are asked, then killed: nothing they could still save is wanted."""
        for child in self._running.values():
            _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + patience
        for child in self._running.values():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
        for child in self._running.values():
            _signal_group(child, signal.SIGKILL)
            child.wait()
        self._running.clear()

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    """The group, which may have members left when its leader is gone."""
    try:
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def die_with(parent: int) -> None:
    """For a child before its exec: the kernel kills it when its parent ends, even by SIGKILL."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before prctl could see it
            os._exit(1)


def free_port() -> int:
    """A port nobody listens on, below those that the kernel gives to outgoing connections: one of those could
    be taken by any program at any moment."""
    for port in random.SystemRandom().sample(range(18000, 32000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise GroundError("no free port between 18000 and 32000")


def wait_for(what: str, look: Callable[[], Answer | None], children: Children, seconds: float = 60.0) -> Answer:
    """Look again and again until there is an answer. Fails early if a child died, and says what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        seen: object = None
        try:
            answer = look()
            if answer:
                return answer
        except OSError as error:
            seen = error
        children.check()
        if time.monotonic() > deadline:
            raise GroundError(f"{what}: not within {seconds:.0f} s (last seen: {seen})")
        time.sleep(0.05)
