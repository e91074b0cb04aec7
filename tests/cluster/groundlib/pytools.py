"""The virtual environment with ministack, boto3 and the AWS CLI, as requirements.txt pins them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from .workspace import CACHE, HERE, GroundError, digest, locked, say, stamped

VENV = CACHE / "venv"
REQUIREMENTS = HERE / "requirements.txt"
OLDEST_PYTHON = (3, 10)


def install() -> None:
    """Make the virtual environment, unless it is there already."""
    value = digest(REQUIREMENTS)
    stamp = VENV / ".stamp"
    if stamped(stamp, value):
        return
    with locked(CACHE / ".venv.lock", "installing the Python tools"):
        if stamped(stamp, value):
            return
        say("installing ministack, boto3 and the AWS CLI")
        begun = time.monotonic()
        shutil.rmtree(VENV, ignore_errors=True)
        for command in ([_find_python(), "-m", "venv", str(VENV)],
                        [str(tool("python")), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                         "--requirement", str(REQUIREMENTS)]):
            if subprocess.run(command, stdout=sys.stderr).returncode:
                raise GroundError(f"could not install the Python tools: {' '.join(command)}")
        stamp.write_text(value)
        say(f"  {'Python tools':<24} {time.monotonic() - begun:6.1f} s")


def tool(name: str) -> Path:
    """A program of the virtual environment."""
    return VENV / "bin" / name


def _find_python() -> str:
    """ministack wants a newer Python than this launcher does."""
    if sys.version_info >= OLDEST_PYTHON:
        return sys.executable
    for minor in range(14, OLDEST_PYTHON[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    raise GroundError("ministack needs Python 3.10 or newer; with --no-aws the control plane alone does without")
