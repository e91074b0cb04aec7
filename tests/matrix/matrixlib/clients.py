"""The clients: what they are, how they are installed from their registries, and how they are started."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from . import doubles
from .pods import ROOT

HERE = ROOT / "tests/matrix/clients"
CACHE = ROOT / ".cache/matrix"
ADDRESS = "http://{}:{}".format(*doubles.S3)
PYTHON = CACHE / "python/bin/python3"
# The Python tools of the ground, which `make test` has installed already.
GROUND = ROOT / ".cache/cluster/venv/bin/python3"


class Client(NamedTuple):
    """One client with its default way to a credential."""

    name: str
    title: str
    command: list[str]
    # What has to be installed for it: `python`, `js`, `go`, `java`, `s3a`, or `ground`, which is there.
    needs: str
    # The lifetime of a session, in seconds. The first call has to be over before it ends.
    lifetime: float = 6
    # A process for each call.
    each: bool = False


def _python(name: str, title: str, python: Path = PYTHON, needs: str = "python") -> Client:
    return Client(name, title, [str(python), str(HERE / "python/client.py"), name, ADDRESS], needs)


def _js(name: str, title: str) -> Client:
    return Client(name, title, ["/usr/bin/node", str(CACHE / f"js/{name.removeprefix('js-')}.js"), ADDRESS], "js")


def _go(name: str, title: str) -> Client:
    return Client(name, title, [str(CACHE / f"go/{name.replace('go-', 'sdk-')}"), ADDRESS], "go")


_CLI = [str(PYTHON), str(CACHE / "python/bin/aws"), "--endpoint-url", ADDRESS, "s3api", "list-objects-v2",
        "--bucket", "bucket"]


def _java(place: str, program: str) -> list[str]:
    paths = f"{CACHE}/{place}/jars/*:{CACHE}/{place}/classes"
    return ["/usr/bin/java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", paths, program, ADDRESS]


CLIENTS = (
    _python("boto3", "boto3 (Python)"),
    Client("aws-cli", "AWS CLI, a process for each call", _CLI, "python", lifetime=10, each=True),
    _python("s3fs", "s3fs (aiobotocore)"),
    _js("js-v3", "AWS SDK for JavaScript v3"),
    _js("js-v2", "AWS SDK for JavaScript v2"),
    _go("go-v2", "AWS SDK for Go v2"),
    _go("go-v1", "AWS SDK for Go v1"),
    _go("minio", "minio-go"),
    Client("java-v2", "AWS SDK for Java v2", _java("java", "V2"), "java", lifetime=15),
    Client("s3a", "Hadoop's S3A", _java("s3a", "S3a"), "s3a", lifetime=15),
    _python("obstore", "obstore (object_store, Rust)"),
    _python("deltalake", "deltalake (object_store)"),
    _python("polars", "polars (object_store)"),
    _python("polars_boto3", "polars, with `CredentialProviderAWS`"),
    _python("pyarrow", "pyarrow (AWS SDK for C++)"),
)

# One client of each of two languages, which are installed within seconds.
SMALL = (_python("boto3", "boto3 (Python)", GROUND, "ground"), _js("js-v3", "AWS SDK for JavaScript v3"))


def _run(*command: str | Path, cwd: Path = ROOT) -> None:
    subprocess.run(command, cwd=cwd, check=True, stdin=subprocess.DEVNULL)


def _install_python(place: Path) -> None:
    _run("python3", "-m", "venv", place)
    _run(place / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps",
         "--requirement", HERE / "python/requirements.txt")


def _install_js(place: Path) -> None:
    place.mkdir(parents=True)
    for file in (HERE / "js").iterdir():
        shutil.copy(file, place)
    _run("npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", cwd=place)


def _install_go(place: Path) -> None:
    place.mkdir(parents=True)
    subprocess.run(["go", "build", "-o", f"{place}/", "./sdk-v2", "./sdk-v1", "./minio"], cwd=HERE / "go", check=True,
                   env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}, stdin=subprocess.DEVNULL)


def _install_java(place: Path) -> None:
    place.mkdir(parents=True)
    pom = HERE / place.name / "pom.xml"
    _run("mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={place}/jars")
    expected = dict(line.split()[::-1] for line in (HERE / place.name / "jars.sha256").read_text().splitlines())
    there = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in (place / "jars").iterdir()}
    if there != expected:
        differ = sorted(name for name in there.keys() | expected.keys() if there.get(name) != expected.get(name))
        raise RuntimeError(f"clients/{place.name}/jars.sha256 differs from what came: {', '.join(differ)}")
    _run("javac", "-cp", f"{place}/jars/*", "-d", place / "classes", *(HERE / place.name).glob("*.java"))


_INSTALL: dict[str, Callable[[Path], None]] = {
    "python": _install_python, "js": _install_js, "go": _install_go, "java": _install_java,
    "s3a": _install_java,
}
_TOOLS = {
    "ground": (str(GROUND),), "python": ("python3",), "js": ("node", "npm"), "go": ("go",), "java": ("mvn", "javac"),
    "s3a": ("mvn", "javac"),
}


def lacking(needs: str) -> list[str]:
    """The tools that this machine lacks."""
    return [tool for tool in _TOOLS[needs] if shutil.which(tool) is None]


def install(needs: str) -> None:
    """Installs what is missing or was made from something else."""
    if needs == "ground":
        return
    place = CACHE / needs
    sources = sorted(path for path in (HERE / needs).rglob("*") if path.is_file())
    made_of = hashlib.sha256(json.dumps([(str(path), path.read_text()) for path in sources]).encode()).hexdigest()
    if needs == "python":
        # The program itself is read where it is.
        made_of = hashlib.sha256((HERE / "python/requirements.txt").read_bytes()).hexdigest()
    stamp = place / "made-of"
    if stamp.is_file() and stamp.read_text() == made_of:
        return
    shutil.rmtree(place, ignore_errors=True)
    print(f"matrix: installing the clients of {needs}", flush=True)
    _INSTALL[needs](place)
    stamp.write_text(made_of)
