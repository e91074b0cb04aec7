"""`start` and `stop`: a ground left running for a developer (`make cluster`, `make cluster-down`)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from . import run
from .workspace import CACHE, HERE, GroundError, locked, say

RUNNING = CACHE / "running"
LOCK = CACHE / ".running.lock"


def start(plan: run.Plan, options: list[str]) -> int:
    """Start it unless it runs, and print how to reach it; `options` are those of `up`."""
    run.prepare(plan)
    with locked(LOCK, "starting or stopping the cluster"):
        if run.holder(RUNNING) is None:
            _launch(options)
        told = json.loads((RUNNING / "ground.json").read_text())
        if plan.node and "node" not in told:
            raise GroundError("a cluster without a node is running; end it first: ground stop")
        print(_how_to_reach(told))
    return 0


def stop() -> int:
    """End it and remove all that it wrote."""
    with locked(LOCK, "starting or stopping the cluster"):
        launcher = run.holder(RUNNING)
        if launcher:
            # What was made in somebody's cluster is removed there, which takes as long as the cluster takes.
            seconds = 150 if _is_adopted() else 20
            os.kill(launcher, signal.SIGTERM)
            _wait_until_gone(launcher, seconds)
        shutil.rmtree(RUNNING, ignore_errors=True)
    print("stopped" if launcher else "was not running")
    return 0


def _is_adopted() -> bool:
    try:
        return "adopted" in json.loads((RUNNING / "ground.json").read_text())
    except OSError:
        return False


def _launch(options: list[str]) -> None:
    RUNNING.mkdir(parents=True, exist_ok=True)
    log = RUNNING / "launcher.log"
    with open(log, "wb") as err:
        launcher = subprocess.Popen([sys.executable, str(HERE / "ground"), "up", "--dir", str(RUNNING),
                                     *options],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True,
                                    start_new_session=True)
    assert launcher.stdout is not None
    if not launcher.stdout.readline().startswith("ready "):
        raise GroundError(f"the cluster did not start:\n{log.read_text(errors='replace')}")
    say(log.read_text(errors="replace").rstrip())


def _wait_until_gone(launcher: int, seconds: float) -> None:
    """It ends its children itself; if it hangs, the kernel ends them with it."""
    deadline = time.monotonic() + seconds
    while run.holder(RUNNING) == launcher:
        if time.monotonic() > deadline:
            os.kill(launcher, signal.SIGKILL)
            return
        time.sleep(0.05)


def _how_to_reach(told: dict[str, Any]) -> str:
    pods = "" if "node" not in told else f"""
Pods run, from images that are here (imagePullPolicy: Never): {', '.join(told['node']['images'].values())}.
To add one: tests/cluster/ground image, tests/cluster/ground load. Pods reach this machine as {told['node']['host']}.
"""
    return f"""\
Kubernetes {told['serverVersion']} is running. To use it:

  export KUBECONFIG={told['kubeconfig']}
  export PATH={Path(told['bin']['kubectl']).parent}:$PATH        # kubectl, helm

AWS (ministack), where the access key id of twelve digits is that account's root:

  export AWS_ENDPOINT_URL={told['aws']['endpoint']} AWS_DEFAULT_REGION=us-east-1
  AWS_ACCESS_KEY_ID=123456789012 AWS_SECRET_ACCESS_KEY=any {told['bin']['aws']} s3 ls
{pods}
To stop it: make cluster-down"""
