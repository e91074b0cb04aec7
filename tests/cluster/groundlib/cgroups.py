"""The control groups of a ground with a node: all below one group of its own, in every hierarchy.

A kubelet makes groups for its pods, and the kernel keeps a group after its last process. So the ground's first
process goes into a group named after the run, takes that for the root (a cgroup namespace), and whoever comes
later knows by the name what may be removed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

PREFIX = "keyturn-ground-"


class Hierarchy(NamedTuple):
    """One mount: the single one of version 2, or one for some controllers of version 1."""

    at: Path
    version: int
    controllers: str


def hierarchies() -> list[Hierarchy]:
    """What is mounted here."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, filesystem = line.partition(" - ")
        kind, _, options = filesystem.split(" ", 2)
        at = Path(mount.split()[4])
        if kind == "cgroup2":
            found.append(Hierarchy(at, 2, ""))
        elif kind == "cgroup":
            # Of the options, those that choose the hierarchy.
            ours = [option for option in options.split(",") if option not in ("rw", "ro", "xattr", "clone_children",
                    "cpuset_v2_mode") and not option.startswith("release_agent=")]
            found.append(Hierarchy(at, 1, ",".join(["none", *ours] if ours[0].startswith("name=") else ours)))
    return found


def enter(name: str) -> None:
    """Put this process, and so all that it will start, into the group of this name."""
    known = hierarchies()
    for hierarchy in known:
        group = hierarchy.at / name
        if len(known) == 1 and hierarchy.version == 2:
            _hand_down(hierarchy.at)
        while True:
            group.mkdir(exist_ok=True)
            try:
                _allow_processors(group)
                (group / "cgroup.procs").write_text("0")
                break
            except FileNotFoundError:
                continue  # somebody who cleans up took it for an abandoned one


def make_room(root: Hierarchy) -> None:
    """On version 2 a group has either processes or groups with limits below it: the processes move down. To be
    called when the ground's group is the root."""
    inner = root.at / "ground"
    inner.mkdir(exist_ok=True)
    for pid in (root.at / "cgroup.procs").read_text().split():
        if pid != "0":  # not of this pid namespace
            (inner / "cgroup.procs").write_text(pid)
    _hand_down(root.at)


def abandoned() -> list[Path]:
    """Groups of grounds that are gone: no process is in them or below."""
    return [group for hierarchy in hierarchies() for group in hierarchy.at.glob(f"{PREFIX}*") if not _lived_in(group)]


def remove(group: Path) -> None:
    """Remove the group and those below it, deepest first; what cannot be removed yet stays."""
    for place, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(place)
        except OSError:
            pass


def _lived_in(group: Path) -> bool:
    for place, _, _ in os.walk(group):
        try:
            if Path(place, "cgroup.procs").read_text().strip():
                return True
        except OSError:
            pass  # it was removed meanwhile
    return False


def _hand_down(group: Path) -> None:
    """What version 2 can limit here can be limited below, too. A kubelet says what it misses."""
    for controller in (group / "cgroup.controllers").read_text().split():
        try:
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:
            pass


def _allow_processors(group: Path) -> None:
    """Version 1 starts a cpuset empty, and nothing can live in that."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (group / name).is_file() and not (group / name).read_text().strip():
            (group / name).write_text((group.parent / name).read_text())
