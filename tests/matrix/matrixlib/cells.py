"""The histories of the matrix, each played by a client in a pod, and the verdict about what was seen."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from . import doubles
from .clients import Client
from .pods import DELIVERIES, SITUATIONS, SURROUNDINGS, Injected, Situation, bare

ELSE = "SOMEBODY ELSE"
PERSON = "the person"
CELL = Path(__file__).resolve().parent / "cell.py"
# The longest life of a pod, in seconds.
LONGEST = 1500
# How long a client may take to follow the rotation of a static key. The endpoint lets SDKs keep a key for 16 minutes.
PATIENCE = 17 * 60.0

RUNNING = ("live", "renewed", "withdrawn-while")
HISTORIES = {
    **{situation.name: (RUNNING, ("withdrawn",), ("expired",)) for situation in SURROUNDINGS},
    "no-programs": (("live",), ("withdrawn",)),
    "image-keys": (("live", "withdrawn-while"), ("withdrawn",)),
    "profile": (("live",), ("withdrawn",)),
    "env-from": (("live",), ("withdrawn",)),
}
# Of one situation only.
ENDED = ("live", "ended")
STATIC = ("key", "rotated")


class Seen(NamedTuple):
    """What one step of a history showed."""

    client: str
    delivery: str
    situation: str
    step: str
    # The identities that are not the person's.
    others: tuple[str, ...]
    # The error of the last call, if it failed.
    error: str | None
    # Whether the webhook had told the pod's author.
    told: bool

    @property
    def verdict(self) -> str:
        """As a cell of the table says it."""
        if self.others:
            return f"{ELSE}: {', '.join(self.others)}"
        if self.error is None:
            return PERSON
        return "error, with the reason" if gives_reason(self.error) else "error"


def gives_reason(error: str) -> bool:
    """Whether an error names keyturn and its reason."""
    return "keyturn" in error and bool(re.search(r"WITHDRAWN|expired|not renewed", error))


def short(error: str) -> str:
    """An error in one line of a list, without what differs from run to run."""
    # deltalake shows each part of an error on a line of its own.
    text = re.sub(r"\s*(?:\x1b\[\d*m)*↳(?:\x1b\[\d*m)*\s*", ": ", error)
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\b\d+(\.\d+)?(ns|µs|ms|s)\b", "TIME", text)
    text = re.sub(r"after \d+ retries", "after retries", text)
    text = re.sub(r"(?i)(request ?id|host ?id|extended request id)[:=] ?[^,;) ]*", r"\1 …", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = text.replace("|", "/").replace("`", "'")
    reason = re.search(r"WITHDRAWN by keyturn: \w+|the session of keyturn expired", text)
    if reason and reason.end() > 130:
        start, near = text[:60].rpartition(" ")[0], text[:reason.end()][-75:].partition(" ")[2]
        return f"{start} … {near or reason[0]}"
    return text if len(text) <= 130 else f"{text[:130].rpartition(' ')[0]} …"


class Plan(NamedTuple):
    """One pod to be started."""

    client: Client
    delivery: str
    situation: Situation
    pod: Injected
    steps: tuple[str, ...]

    def key(self) -> str:
        """Equal for pods that are the same in all that a client can see."""
        same = (self.client.name, sorted(self.pod.environment.items()), self.pod.endpoint, self.situation.home,
                self.situation.hidden, self.steps)
        return json.dumps(same)


def plan(clients: list[Client], pods: dict[tuple[str, str], Injected], small: bool) -> list[Plan]:
    """All pods of the matrix. The long ones come first. The small one has the cells that differ most."""
    plans = []
    for client in clients:
        for delivery in DELIVERIES:
            for situation in SITUATIONS:
                if small and situation.name not in ("pod-identity-before", "irsa-before"):
                    continue
                pod = pods[delivery, situation.name]
                histories = HISTORIES[situation.name]
                if situation.name == "node":
                    histories = (*histories, ENDED, STATIC)
                if small:
                    histories = histories[:2] if situation.name == "pod-identity-before" else (("withdrawn",),)
                plans += [Plan(client, delivery, situation, pod, steps) for steps in histories]
        if not small:
            plans += [Plan(client, "none", situation, bare(situation), ("live",)) for situation in SURROUNDINGS
                      if not situation.after]
    order = (STATIC, RUNNING, ENDED)
    return sorted(plans, key=lambda it: order.index(it.steps) if it.steps in order else len(order))


def play(plans: list[Plan], secrets: dict[str, dict[str, str]], programs: Path, jobs: int, patience: float,
         verbose: bool) -> list[Seen]:
    """Starts the pods, `jobs` at a time. Pods that wait for a rotation hardly compute and do not count."""
    seen: list[Seen] = []
    with ThreadPoolExecutor(jobs) as computing, ThreadPoolExecutor(64) as waiting:
        running: dict[str, Future[dict[str, Any]]] = {}
        for it in plans:
            if it.key() not in running:
                pool = waiting if it.steps == STATIC and it.delivery == "endpoint" else computing
                running[it.key()] = pool.submit(_pod, it, secrets, programs, patience)
        for it in plans:
            found = _seen(it, running[it.key()].result())
            seen += found
            if verbose:
                for one in found:
                    print(f"{one.client:13} {one.delivery:9} {one.situation:20} {one.step:16} {one.verdict}"
                          f"{': ' + short(one.error) if one.error else ''}", flush=True)
    return seen


def _pod(it: Plan, secrets: dict[str, dict[str, str]], programs: Path, patience: float) -> dict[str, Any]:
    cell = {
        "command": it.client.command, "each": it.client.each, "lifetime": it.client.lifetime,
        "environment": it.pod.environment, "endpoint": it.pod.endpoint, "programs": str(programs),
        "home": it.situation.home, "hidden": it.situation.hidden, "secrets": secrets, "steps": it.steps,
        "patience": patience if it.delivery == "endpoint" else 10.0,
    }
    command = ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, str(CELL)]
    done = subprocess.run(command, input=json.dumps(cell), text=True, timeout=LONGEST, check=False, capture_output=True)
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return {"steps": [], "trouble": f"the pod has ended: {done.stderr[-2000:]}"}


def _seen(it: Plan, result: dict[str, Any]) -> list[Seen]:
    told = bool(it.pod.warnings)
    found = []
    for step in result["steps"]:
        calls = step["calls"]
        others = {_owner(key) for call in calls for key in call["seen"]} - {PERSON, ""}
        found.append(Seen(it.client.name, it.delivery, it.situation.name, step["step"], tuple(sorted(others)),
                          calls[-1]["error"], told))
    for missing in it.steps[len(found):]:
        found.append(Seen(it.client.name, it.delivery, it.situation.name, missing, (),
                          f"THE MATRIX FAILED: {result['trouble']}", told))
    return found


def _owner(access_key_id: str) -> str:
    names = {start: owner for start, owner in doubles.OWNERS.items() if access_key_id.startswith(start)}
    return access_key_id if access_key_id in ("", doubles.TOKEN) else next(iter(names.values()), access_key_id)
