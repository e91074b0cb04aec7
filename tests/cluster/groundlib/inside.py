"""What the first process of a ground with a node does before anything else starts: it furnishes the namespaces.

Afterwards /run, /var/lib and /var/log are the ground's own, /sys shows its network and its control groups, and
`eth0` leads to the machine. What a kubelet would change in the whole kernel looks as if it had been done.
"""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from . import cgroups
from .workspace import REPO, GroundError

CLONE_NEWCGROUP = 0x02000000
MS_RDONLY, MS_NOSUID_NODEV_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC = 1, 14, 32, 4096, 16384
# For tests of network devices: nobody routes to it. Two addresses for each ground.
RANGE = ipaddress.IPv4Network("198.18.0.0/15")
# A kubelet sets these in the kernel for the whole machine, unless it finds them so.
TUNABLES = {"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
            "kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000"}
_LIBC = ctypes.CDLL(None, use_errno=True)


class Network(NamedTuple):
    """The two ends of the only way in and out."""

    node: str
    host: str


def furnish(home: Path, outside: int, group: str, services: str) -> Network:
    """Everything that has to be there before the first program. `outside` is the machine's network namespace,
    `services` the range of the addresses that kube-proxy replaces."""
    cgroups.enter(group)
    if _LIBC.unshare(CLONE_NEWCGROUP):
        raise GroundError(f"no cgroup namespace: {os.strerror(ctypes.get_errno())}")
    _remount_sys()
    keep = [home, REPO, Path(sys.prefix), Path(sys.base_prefix)]
    for place in (Path("/run"), Path("/var/lib"), Path("/var/log")):
        _empty(place, keep)
    _pretend_tunables(home / "node" / "tunables")
    network = _connect(outside, group)
    # A packet needs a route before kube-proxy sees it. All else ends here, at once and not by a time-out.
    _ip("route", "add", services, "via", network.host)
    _ip("route", "add", "unreachable", "default")
    return network


def overlay_works(directory: Path) -> bool:
    """Whether layers of images can be put on top of each other here; not where this is such a pile itself."""
    places = [directory / name for name in ("lower", "upper", "work", "merged")]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
    try:
        mount("overlay", places[3], "overlay", options=f"lowerdir={places[0]},upperdir={places[1]},workdir={places[2]}")
    except OSError:
        return False
    _LIBC.umount2(os.fsencode(places[3]), 0)
    return True


def _remount_sys() -> None:
    """/sys of this network namespace, with the control groups as this cgroup namespace sees them."""
    known = cgroups.hierarchies()
    mount("sysfs", Path("/sys"), "sysfs", MS_NOSUID_NODEV_NOEXEC)
    if any(hierarchy.version == 1 for hierarchy in known):
        mount("tmpfs", Path("/sys/fs/cgroup"), "tmpfs", options="mode=755")
    for hierarchy in known:
        if not hierarchy.at.is_dir():
            hierarchy.at.mkdir(parents=True)
        kind = "cgroup" if hierarchy.version == 1 else "cgroup2"
        mount(kind, hierarchy.at, kind, MS_NOSUID_NODEV_NOEXEC, hierarchy.controllers)
    if len(known) == 1 and known[0].version == 2:
        cgroups.make_room(known[0])


def _empty(place: Path, keep: list[Path]) -> None:
    """A directory of the ground's own in place of the machine's; what is needed from below it stays visible."""
    kept = [(path, os.open(path, os.O_PATH)) for path in keep if place in path.resolve().parents]
    mount("tmpfs", place, "tmpfs", options="mode=755")
    for path, opened in kept:
        path.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{opened}", path, "", MS_BIND | MS_REC)
        os.close(opened)


def _pretend_tunables(directory: Path) -> None:
    for name, value in TUNABLES.items():
        pretended = directory / name.replace("/", ".")
        pretended.parent.mkdir(parents=True, exist_ok=True)
        pretended.write_text(f"{value}\n")
        mount(str(pretended), Path("/proc/sys", name), "", MS_BIND)


def _connect(outside: int, group: str) -> Network:
    """A pair of interfaces, one on each side. The name of the machine's one claims the subnet, and its alias says whose
    it is."""
    taken = _taken(outside)
    subnets = RANGE.num_addresses // 4
    for index in random.SystemRandom().sample(range(subnets), 100):
        subnet = ipaddress.IPv4Network((int(RANGE.network_address) + 4 * index, 30))
        if any(subnet.overlaps(other) for other in taken):
            continue
        host, node = map(str, subnet.hosts())
        name = f"keyturn{index}"
        if _ip("link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", f"/proc/self/fd/{outside}",
               check=False, outside=outside) is None:
            continue
        on_the_machine = ("nsenter", f"--net=/proc/self/fd/{outside}")
        _ip("address", "add", f"{host}/30", "dev", name, through=on_the_machine, outside=outside)
        _ip("link", "set", name, "alias", group, "up", through=on_the_machine, outside=outside)
        _ip("link", "set", "lo", "up")
        _ip("address", "add", f"{node}/30", "dev", "eth0")
        _ip("link", "set", "eth0", "up")
        return Network(node, host)
    raise GroundError(f"no free subnet in {RANGE}")


def _taken(outside: int) -> list[ipaddress.IPv4Network]:
    """The networks that the machine has a route to."""
    said = _ip("-4", "-json", "route", "show", "table", "all", through=("nsenter", f"--net=/proc/self/fd/{outside}"),
               outside=outside)
    return [ipaddress.IPv4Network(route["dst"], strict=False) for route in json.loads(said or "[]")
            if route["dst"] != "default"]


def _ip(*args: str, through: tuple[str, ...] = (), outside: int | None = None, check: bool = True) -> str | None:
    done = subprocess.run([*through, "ip", *args], capture_output=True, text=True,
                          pass_fds=[] if outside is None else [outside])
    if done.returncode and check:
        raise GroundError(f"ip {' '.join(args)}: {done.stderr.strip()}")
    return None if done.returncode else done.stdout


def mount(source: str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2); whatever is mounted goes with the namespaces."""
    if _LIBC.mount(source.encode(), os.fsencode(target), kind.encode(), flags, options.encode()):
        error = ctypes.get_errno()
        raise OSError(error, f"mounting {kind or source}: {os.strerror(error)}", str(target))


def show(source: Path, target: Path) -> None:
    """The same file or directory at another place, where nobody can change it."""
    mount(str(source), target, "", MS_BIND)
    mount("", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY)
