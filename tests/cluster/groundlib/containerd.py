"""containerd with runc and CNI's plugins: what a kubelet starts pods with. They are the system's own packages.

Nothing is pulled: images come from archives on this machine, and pods say `imagePullPolicy: Never`. Those of the
tests have some ten thousand files. They are unpacked once, into the cache; a run sees them there, read-only, as if
its own containerd had unpacked them.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from .inside import mount, overlay_works, show
from .processes import Children, wait_for
from .workspace import GroundError, write_json, write_private

# /run is the ground's own; a path below the run's directory might be too long for a socket.
SOCKET = Path("/run/containerd/containerd.sock")
PODS = "10.244.0.0/24"
PLUGINS = (Path("/opt/cni/bin"), Path("/usr/lib/cni"), Path("/usr/libexec/cni"))
NEEDED_PLUGINS = ("ptp", "host-local", "portmap", "loopback")
# What containerd keeps and never changes: contents by their digest, and the layers that were made of them.
BLOBS = "io.containerd.content.v1.content/blobs/sha256"
LAYERS = "io.containerd.snapshotter.v1.overlayfs/snapshots"


class Containerd:
    """One containerd with all that it keeps inside `home`."""

    def __init__(self, home: Path, children: Children, sandbox: str) -> None:
        self._home = home
        self._children = children
        self._sandbox = sandbox

    def start(self, unpacked: Path) -> None:
        """Start it with images that `unpack` unpacked; `wait` says when it answers."""
        networks, root = self._home / "cni", self._home / "containerd"
        write_json(networks / "10-ground.conflist", {
            "cniVersion": "0.4.0", "name": "ground", "plugins": [
                {"type": "ptp", "ipMasq": True,
                 "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}],
                          "dataDir": "/run/cni"}},
                {"type": "portmap", "capabilities": {"portMappings": True}}]})
        root.mkdir(parents=True)
        if not overlay_works(self._home / "try"):
            mount("tmpfs", root, "tmpfs")
        _adopt(unpacked, root)
        config = write_private(self._home / "containerd.toml", f"""\
version = 2
root = "{root}"
state = "/run/containerd/state"
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{self._sandbox}"
# Without the right to lower a score (CAP_SYS_RESOURCE) runc would die of the attempt.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins()}"
conf_dir = "{networks}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
""")
        # Images are for everybody in their containers, also for who is not root there.
        self._children.start("containerd", ["containerd", f"--config={config}"], umask=0o022)

    def wait(self) -> None:
        """Return when it answers."""
        _wait(SOCKET, self._children)


def unpack(archive: Path, root: Path) -> None:
    """Import and unpack an archive into a new directory that is there to be adopted."""
    with tempfile.TemporaryDirectory() as place:
        children, socket = Children(Path(place, "logs")), Path(place, "socket")
        config = write_private(Path(place, "config.toml"), f"""\
version = 2
root = "{root}"
state = "{place}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{socket}"
""")
        try:
            children.start("containerd", ["containerd", f"--config={config}"], umask=0o022)
            _wait(socket, children)
            _import(socket, archive, "--snapshotter=overlayfs")
        finally:
            children.stop(patience=10)


def _adopt(unpacked: Path, root: Path) -> None:
    for directory, names in ((BLOBS, "*"), (LAYERS, "[0-9]*")):
        (root / directory).mkdir(parents=True, mode=0o755)
        for source in (unpacked / directory).glob(names):
            target = root / directory / source.name
            target.mkdir() if source.is_dir() else target.touch()
            show(source, target)
    for database in unpacked.glob("*/*.db"):
        (root / database.parent.name).mkdir(exist_ok=True)
        shutil.copy(database, root / database.parent.name)


def _wait(socket: Path, children: Children) -> None:
    wait_for("containerd to answer", lambda: _ctr(socket, "version").returncode == 0, children)


def load_into(containerd: int, archive: Path) -> None:
    """Import into the containerd with this process id, from the outside; a pod that wants an image unpacks it."""
    _import(Path(f"/proc/{containerd}/root{SOCKET}"), archive, "--no-unpack")


def _import(socket: Path, archive: Path, *options: str) -> None:
    done = _ctr(socket, "--namespace=k8s.io", "images", "import", *options, str(archive))
    if done.returncode:
        raise GroundError(f"{archive} cannot be imported: {done.stdout}{done.stderr}")


def plugins() -> Path:
    """Where CNI's plugins are: distributions differ."""
    for directory in PLUGINS:
        if all((directory / name).is_file() for name in NEEDED_PLUGINS):
            return directory
    raise GroundError(f"CNI's plugins {', '.join(NEEDED_PLUGINS)} are in none of {', '.join(map(str, PLUGINS))}")


def _ctr(socket: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([shutil.which("ctr") or "ctr", f"--address={socket}", *args], capture_output=True, text=True)
