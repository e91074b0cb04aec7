"""CRDs of other projects, for tests of manifests that are made for these: each out of its project's Go module.

The module proxy gives a module with all its files. Nothing is compiled, and a hash pins each module.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from .gobuild import find_go
from .workspace import GroundError


class Definitions(NamedTuple):
    """The files of a module that have CRDs. The hash is Go's own of the whole module (`h1:`)."""

    module: str
    sum: str
    files: tuple[str, ...]


FOREIGN = (
    # Argo CD 3.5
    Definitions("github.com/argoproj/argo-cd/v3@v3.5.7", "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0=",
                ("manifests/crds/application-crd.yaml", "manifests/crds/appproject-crd.yaml")),
    # Flux 2.7
    Definitions("github.com/fluxcd/kustomize-controller@v1.7.3", "h1:SzNnGn/4ObAPEHHleM5U7y/AKxKXph3Vj6ZhteeXw8M=",
                ("config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",)),
    Definitions("github.com/fluxcd/helm-controller@v1.4.0", "h1:rkm8rmB6Na7eNc4pJOnvtXEaJ19iKluRtayHKjBxcUM=",
                ("config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml",)),
)


def copy_into(place: Path) -> None:
    """Put the files into a folder."""
    place.mkdir(parents=True, exist_ok=True)
    for module, wanted, files in FOREIGN:
        done = subprocess.run([find_go(), "mod", "download", "-json", module], cwd="/", stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True,
                              env={**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-mod=mod"})
        found = json.loads(done.stdout or "{}")
        if done.returncode or found.get("Error"):
            raise GroundError(f"{module} is not to be had: {found.get('Error') or done.stderr.strip()}")
        if found["Sum"] != wanted:
            raise GroundError(f"{module} has the hash {found['Sum']}, and {wanted} is pinned")
        for name in files:
            shutil.copyfile(Path(found["Dir"], name), place / Path(name).name)
