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
        print(_how_to_reach(RUNNING / "ground.json"))
    return 0


def stop() -> int:
    """End it and remove all that it wrote."""
    with locked(LOCK, "starting or stopping the cluster"):
        launcher = run.holder(RUNNING)
        if launcher:
            os.kill(launcher, signal.SIGTERM)
            _wait_until_gone(launcher)
        shutil.rmtree(RUNNING, ignore_errors=True)
    print("stopped" if launcher else "was not running")
    return 0


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


def _wait_until_gone(launcher: int) -> None:
    """It ends its children itself; if it hangs, the kernel ends them with it."""
    deadline = time.monotonic() + 20
    while run.holder(RUNNING) == launcher:
        if time.monotonic() > deadline:
            os.kill(launcher, signal.SIGKILL)
            return
        time.sleep(0.05)


def _how_to_reach(ground: Path) -> str:
    told = json.loads(ground.read_text())
    return f"""\
Kubernetes {told['serverVersion']} is running. To use it:

  export KUBECONFIG={told['kubeconfig']}
  export PATH={Path(told['bin']['kubectl']).parent}:$PATH        # kubectl, helm

AWS (ministack), where the access key id of twelve digits is that account's root:

  export AWS_ENDPOINT_URL={told['aws']['endpoint']} AWS_DEFAULT_REGION=us-east-1
  AWS_ACCESS_KEY_ID=123456789012 AWS_SECRET_ACCESS_KEY=any {told['bin']['aws']} s3 ls

To stop it: make cluster-down"""
