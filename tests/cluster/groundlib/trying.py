"""What the ground's own tests share: a ground for a test, and waiting for what it should show."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

GROUND = Path(__file__).resolve().parent.parent / "ground"


class Running:
    """A ground of this test's own, which ends with it."""

    def __init__(self, *options: str) -> None:
        self.home = tempfile.TemporaryDirectory(prefix="ground-")
        self.launcher = subprocess.Popen(
            [sys.executable, str(GROUND), "up", "--dir", self.home.name, "--until-eof", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.launcher.stdout
        word, _, path = self.launcher.stdout.readline().strip().partition(" ")
        if word != "ready":
            raise AssertionError("the ground did not start: see above")
        self.told: dict[str, Any] = json.loads(Path(path).read_text())

    def end_input(self) -> None:
        """What the kernel does for a test that died."""
        assert self.launcher.stdin
        self.launcher.stdin.close()

    def interrupt(self) -> None:
        self.launcher.send_signal(signal.SIGINT)

    def terminate(self) -> None:
        self.launcher.terminate()

    def end(self) -> None:
        assert self.launcher.stdout
        self.end_input()
        self.launcher.wait(30)
        self.launcher.stdout.close()
        self.home.cleanup()

    def kubectl(self, *args: str, given: Any = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run([self.told["bin"]["kubectl"], *args], given=json.dumps(given) if given else None, check=check,
                   KUBECONFIG=self.told["kubeconfig"], KUBECACHEDIR=f"{self.home.name}/kubectl")

    def get(self, *args: str) -> Any:
        return json.loads(self.kubectl("get", "-o", "json", *args).stdout)

    def exists(self, *args: str) -> bool:
        return bool(self.kubectl("get", "--ignore-not-found", "-o", "name", *args).stdout)

    def aws(self, key: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
        return run([self.told["bin"]["aws"], "--endpoint-url", self.told["aws"]["endpoint"], "--output", "json", *args],
                   check=False, AWS_DEFAULT_REGION="us-east-1", **key)


def run(command: list[str], given: str | None = None, check: bool = True,
        **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, input=given, env={**os.environ, **environment}, capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done


def eventually(what: str, look: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s; last seen: {seen!r}")
        time.sleep(0.1)


def alive(pid: int) -> bool:
    """Not counting a zombie that nobody collected: in a container there may be no init that would."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
