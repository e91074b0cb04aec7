"""Where things are kept, and the locks and stamps that let several runs share them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
REPO = HERE.parent.parent
CACHE = REPO / ".cache" / "cluster"


class GroundError(Exception):
    """Something the user should read as one plain message, without a traceback."""


def say(message: str) -> None:
    """Progress goes to stderr: stdout belongs to results that programs read."""
    print(message, file=sys.stderr, flush=True)


def digest(*parts: str | bytes | Path) -> str:
    """One hash over texts and the contents of files: what a stamp holds."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode() if isinstance(part, str) else part
        total.update(b"%d:" % len(data) + data)
    return total.hexdigest()


def stamped(stamp: Path, value: str) -> bool:
    """Whether `stamp` was left by exactly these inputs."""
    return stamp.is_file() and stamp.read_text() == value


@contextmanager
def locked(path: Path, doing: str) -> Iterator[None]:
    """Hold the lock file `path`; two runs that need the same thing made make it once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that is {doing}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_private(path: Path, text: str) -> Path:
    """Write a file that may hold a secret: whole or not at all, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    os.replace(draft, path)
    return path


def write_json(path: Path, value: Any) -> Path:
    """JSON, which is also YAML: kubeconfigs are written this way."""
    return write_private(path, json.dumps(value, indent=2) + "\n")


def openssl(*args: str | Path) -> None:
    """Makes a key or a certificate."""
    try:
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise GroundError(f"openssl is needed to make the cluster's own keys: {error}") from error
