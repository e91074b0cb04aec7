"""One pod of the matrix: one client that runs through a history of its Secret.

`run` starts this file as a process in a network namespace and a mount namespace of its own. There, the addresses of
Pod Identity and of the node's metadata service are on the loopback device, and the Secret is mounted at its own path.
Standard input is the pod (`Cell` as JSON), standard output is what happened in each step.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from matrixlib import doubles  # noqa: E402

SECRET = Path("/var/run/secrets/keyturn")
SHARED = Path("/var/run/secrets/keyturn-endpoint")
HOME = Path("/run/home")
# The longest time for one call. Clients retry, some of them for seconds.
CALL = 60.0
START = 90.0
# How long after the end of a session a client is watched.
AFTER = 15.0
# From call to call.
PAUSE = 0.4


def mount(*arguments: str) -> None:
    """Mounts, in this process' own namespace."""
    subprocess.run(["mount", *arguments], check=True, stdout=subprocess.DEVNULL)


def namespaces(hidden: list[str]) -> None:
    """The pod's network and files."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address, _ in (doubles.POD_IDENTITY, doubles.NODE):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    mount("-t", "tmpfs", "tmpfs", "/run")
    for folder in (SECRET, SHARED, HOME, doubles.POD_IDENTITY_TOKEN.parent, doubles.IRSA_TOKEN.parent):
        folder.mkdir(parents=True)
    names = "".join(f"{doubles.STS[0]} {name}\n" for name in doubles.STS_NAMES)
    Path("/run/hosts").write_text(f"127.0.0.1 localhost\n{names}")
    mount("--bind", "/run/hosts", "/etc/hosts")
    if hidden:
        # /bin is a link to /usr/bin. All programs of it stay but these.
        programs = Path("/run/programs")
        programs.mkdir()
        mount("--bind", "/usr/bin", str(programs))
        mount("-t", "tmpfs", "tmpfs", "/usr/bin")
        for program in programs.iterdir():
            if program.name not in hidden:
                Path("/usr/bin", program.name).symlink_to(program)


class Secret:
    """The mounted Secret, changed as the kubelet changes it: by a link to another folder."""

    def __init__(self, data: dict[str, dict[str, str]], world: doubles.World) -> None:
        self._data, self._world = data, world
        self._number = 0

    def put(self, kind: str, number: int = 0, end: float | None = None) -> None:
        """Brings the data of this kind, with the person's key of this number."""
        self._number += 1
        folder = SECRET / f"..{self._number}"
        folder.mkdir()
        key = f"{doubles.PERSON}{number}"
        until = "" if end is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
        for name, text in self._data[kind].items():
            text = text.replace(doubles.PERSON, key).replace("2001-01-01T00:00:00Z", until)
            (folder / name).write_text(text)
            if not (SECRET / name).is_symlink():
                (SECRET / name).symlink_to(f"..data/{name}")
        link = SECRET / "..data_tmp"
        link.symlink_to(folder.name)
        link.rename(SECRET / "..data")
        if kind == "session" and end is not None:
            self._world.allow(key, end)
        elif kind == "key":
            self._world.allow(key, time.time() + 86_400)


class Client:
    """The client: a process that makes a call for each line, or a process for each call."""

    def __init__(self, command: list[str], environment: dict[str, str], each: bool) -> None:
        self._command, self._environment, self._each = command, environment, each
        self._lines: queue.Queue[str] = queue.Queue()
        self._said: list[str] = []
        if each:
            return
        self._process = subprocess.Popen(command, env=environment, cwd="/", text=True, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._listen, daemon=True).start()
        while not self._line(START).get("ready"):
            pass

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put("")

    def _listen(self) -> None:
        for line in self._process.stderr or ():
            self._said.append(line)

    def _line(self, limit: float) -> dict[str, object]:
        end = time.monotonic() + limit
        while True:
            line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            if not line:
                raise RuntimeError(f"the client has ended: {''.join(self._said)[:2000]}")
            if line.startswith("{"):
                return dict(json.loads(line))

    def call(self) -> str | None:
        """One call: the error, or None."""
        if self._each:
            done = subprocess.run(self._command, env=self._environment, cwd="/", text=True, timeout=CALL, check=False,
                                  stdin=subprocess.DEVNULL, capture_output=True)
            return None if done.returncode == 0 else done.stderr.strip()
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        try:
            said = self._line(CALL)
        except queue.Empty:
            return f"no answer within {CALL:.0f} s"
        return None if said.get("ok") else str(said.get("error") or "an error without words")

    def end(self) -> None:
        """Ends it."""
        if not self._each:
            self._process.kill()


class Pod:
    """A history, step by step."""

    def __init__(self, cell: dict[str, Any]) -> None:
        self.cell = cell
        self.lifetime = float(cell["lifetime"])
        self.world = doubles.World()
        self.secret = Secret(cell["secrets"], self.world)
        self.steps: list[dict[str, Any]] = []
        self.client: Client | None = None
        self.end = 0.0

    def play(self) -> None:
        """Plays all steps. A start brings the Secret before the pod's containers start."""
        self.world.start()
        first, *rest = self.cell["steps"]
        begin = {
            "live": lambda: self.secret.put("session", 1, time.time() + 3600),
            "withdrawn": lambda: self.secret.put("withdrawn"),
            "expired": lambda: self.secret.put("session", 1, time.time() - 60),
            "key": lambda: self.secret.put("key", 1),
        }
        begin[first]()
        self._endpoint()
        environment = self.cell["environment"]
        self.client = Client(self.cell["command"], environment, self.cell["each"])
        if first == "live":
            self._issue(1)
        self._record(first, [self._call()])
        for step in rest:
            getattr(self, step.replace("-", "_"))()
        self.client.end()

    def _endpoint(self) -> None:
        if not self.cell["endpoint"]:
            return
        path, *arguments = self.cell["endpoint"]
        # The image has its programs at the root.
        program, nowhere = str(Path(self.cell["programs"], path[1:])), subprocess.DEVNULL
        self.serve = subprocess.Popen([program, *arguments], env={}, stdout=nowhere, stderr=nowhere)
        probe = [program, "--probe", *arguments]
        end = time.monotonic() + START
        while subprocess.run(probe, env={}, check=False, capture_output=True).returncode:
            if time.monotonic() > end:
                raise RuntimeError("keyturn-endpoint does not listen")
            time.sleep(0.05)

    def _issue(self, number: int) -> None:
        # A client that asks only when its session has ended needs a next one that lives on.
        self.end = float(int(max(self.end, time.time()) + self.lifetime) + 1)
        self.secret.put("session", number, self.end)

    def _call(self) -> dict[str, Any]:
        assert self.client
        begun = time.time()
        error = self.client.call()
        return {"begun": begun, "seen": self.world.seen(), "error": error}

    def _record(self, step: str, calls: list[dict[str, Any]]) -> None:
        self.steps.append({"step": step, "calls": calls})

    def _until(self, step: str, is_enough: Callable[[dict[str, Any]], bool], limit: float) -> None:
        """Calls again and again, until a call is enough or the time is over."""
        calls = []
        while True:
            calls.append(self._call())
            if is_enough(calls[-1]) or time.time() > limit:
                break
            time.sleep(PAUSE)
        self._record(step, calls)

    @staticmethod
    def _is_second(call: dict[str, Any]) -> bool:
        return f"{doubles.PERSON}2" in call["seen"] and not call["error"]

    def _has_ended(self, call: dict[str, Any]) -> bool:
        return bool(call["error"]) and call["begun"] > self.end

    def renewed(self) -> None:
        """The next session is there before the first one has ended."""
        self._issue(2)
        self._until("renewed", self._is_second, self.end)

    def ended(self) -> None:
        """The session ends, and nothing renews it."""
        self._until("ended", self._has_ended, self.end + AFTER)

    def withdrawn_while(self) -> None:
        """The Secret is withdrawn. The client may go on with the session that it has, until that ends."""
        self.secret.put("withdrawn")
        self._until("withdrawn-while", self._has_ended, self.end + AFTER)

    def rotated(self) -> None:
        """keyturn has brought another key; then AWS takes the old one no longer."""
        self.secret.put("key", 2)
        self.world.allow(f"{doubles.PERSON}1", 0)
        limit = time.time() + float(self.cell["patience"])
        self._until("rotated", self._is_second, limit)


def main() -> None:
    cell = json.load(sys.stdin)
    namespaces(cell["hidden"])
    for name, text in cell["home"].items():
        path = HOME / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for token, text in ((doubles.POD_IDENTITY_TOKEN, "pod-identity"), (doubles.IRSA_TOKEN, "irsa")):
        token.write_text(text)
    pod, trouble = Pod(cell), None
    try:
        pod.play()
    except Exception as error:  # noqa: BLE001 - the matrix shows it in the pod's place
        trouble = f"{type(error).__name__}: {error}"
    json.dump({"steps": pod.steps, "trouble": trouble}, sys.stdout)
    sys.stdout.flush()
    if hasattr(pod, "serve"):
        pod.serve.kill()
    os._exit(0)


if __name__ == "__main__":
    main()
