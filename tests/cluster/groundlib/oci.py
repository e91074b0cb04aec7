"""Images without an engine: layers and archives in the OCI format, written by Python alone.

Layers are not compressed: an archive is read once, on the same machine. Times and owners are fixed, so that the
same files give the same image.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class Blob(NamedTuple):
    """Something with a digest: a layer's file, or JSON."""

    digest: str
    data: bytes | Path

    @property
    def size(self) -> int:
        """In bytes."""
        return self.data.stat().st_size if isinstance(self.data, Path) else len(self.data)

    def described(self, media_type: str) -> dict[str, Any]:
        """As others refer to it."""
        return {"mediaType": media_type, "digest": f"sha256:{self.digest}", "size": self.size}


class Image(NamedTuple):
    """One image: its full name, its layers from the bottom up, and what it starts."""

    name: str
    layers: list[Blob]
    config: dict[str, Any]


class Layer:
    """The files of one layer, as they are added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)
        self._known: set[str] = set()

    def file(self, name: str, source: Path | bytes, mode: int = 0o644) -> None:
        """A file of the machine's (a link is followed), or one with this content."""
        content = source if isinstance(source, bytes) else source.read_bytes()
        self._add(name, tarfile.REGTYPE, mode, content)

    def link(self, name: str, target: str) -> None:
        """A symbolic link."""
        self._add(name, tarfile.SYMTYPE, 0o777, link=target)

    def directory(self, name: str, mode: int = 0o755) -> None:
        """An empty directory; those of files need not be added."""
        self._add(name, tarfile.DIRTYPE, mode)

    def done(self) -> Blob:
        """The finished layer."""
        self._tar.close()
        return Blob(_digest_of(self._path), self._path)

    def _add(self, name: str, kind: bytes, mode: int, content: bytes = b"", link: str = "") -> None:
        name = name.strip("/")
        if name in self._known:
            return
        self._known.add(name)
        if os.path.dirname(name):
            self.directory(os.path.dirname(name))
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(content), link
        self._tar.addfile(entry, io.BytesIO(content))


def write_archive(path: Path, images: list[Image]) -> None:
    """One archive of all these images; a layer that several have is in it once."""
    index, blobs = [], {}
    for image in images:
        config = _json({"architecture": MACHINES[platform.machine()], "os": "linux", "config": image.config,
                        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in image.layers]}})
        manifest = _json({"schemaVersion": 2, "mediaType": MANIFEST,
                          "config": config.described("application/vnd.oci.image.config.v1+json"),
                          "layers": [layer.described("application/vnd.oci.image.layer.v1.tar")
                                     for layer in image.layers]})
        index.append({**manifest.described(MANIFEST), "annotations": {"io.containerd.image.name": image.name}})
        blobs.update({blob.digest: blob for blob in (config, manifest, *image.layers)})
    _write(path, index, [(f"blobs/sha256/{digest}", blob.data) for digest, blob in blobs.items()])


def name_archive(directory: Path, name: str, path: Path) -> None:
    """An archive of the one image that is in an OCI layout on disk, under this name."""
    index = json.loads((directory / "index.json").read_text())["manifests"]
    index[0]["annotations"] = {"io.containerd.image.name": name}
    _write(path, index, [(str(blob.relative_to(directory)), blob) for blob in (directory / "blobs").rglob("*")
                         if blob.is_file()])


def _write(path: Path, index: list[dict[str, Any]], files: list[tuple[str, bytes | Path]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with tarfile.open(draft, "w") as tar:
        for name, data in [("oci-layout", _json({"imageLayoutVersion": "1.0.0"}).data),
                           ("index.json", _json({"schemaVersion": 2, "manifests": index}).data), *files]:
            entry = tarfile.TarInfo(name)
            source: BinaryIO = open(data, "rb") if isinstance(data, Path) else io.BytesIO(data)
            with source:
                entry.size = source.seek(0, io.SEEK_END)
                source.seek(0)
                tar.addfile(entry, source)
    os.replace(draft, path)


def _json(value: Any) -> Blob:
    data = json.dumps(value, sort_keys=True).encode()
    return Blob(hashlib.sha256(data).hexdigest(), data)


def _digest_of(path: Path) -> str:
    total = hashlib.sha256()
    with open(path, "rb") as data:
        while chunk := data.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()
