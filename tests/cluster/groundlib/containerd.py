"""containerd with runc and CNI's plugins: what a kubelet starts pods with. They are the system's own packages.

Nothing is pulled: images come from archives on this machine, and pods say `imagePullPolicy: Never`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .inside import overlay_works
from .processes import Children, wait_for
from .workspace import GroundError, write_json, write_private

# /run is the ground's own; a path below the run's directory might be too long for a socket.
SOCKET = Path("/run/containerd/containerd.sock")
PODS = "10.244.0.0/24"
PLUGINS = (Path("/opt/cni/bin"), Path("/usr/lib/cni"), Path("/usr/libexec/cni"))
NEEDED_PLUGINS = ("ptp", "host-local", "portmap", "loopback")


class Containerd:
    """One containerd with all that it keeps inside `home`."""

    def __init__(self, home: Path, children: Children, sandbox: str) -> None:
        self._home = home
        self._children = children
        self._sandbox = sandbox
        self._snapshotter = "overlayfs" if overlay_works(home / "try") else "native"

    def start(self) -> None:
        """Start it; `wait` says when it answers."""
        networks = self._home / "cni"
        write_json(networks / "10-ground.conflist", {
            "cniVersion": "0.4.0", "name": "ground", "plugins": [
                {"type": "ptp", "ipMasq": True,
                 "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}],
                          "dataDir": "/run/cni"}},
                {"type": "portmap", "capabilities": {"portMappings": True}}]})
        config = write_private(self._home / "containerd.toml", f"""\
version = 2
root = "{self._home}/containerd"
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
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{self._snapshotter}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
""")
        # Images are for everybody in their containers, also for who is not root there.
        self._children.start("containerd", ["containerd", f"--config={config}"], umask=0o022)

    def wait(self) -> None:
        """Return when it answers."""
        wait_for("containerd to answer", lambda: _ctr(SOCKET, "version").returncode == 0, self._children)


    def load(self, archive: Path) -> None:
        """Import the images of an archive, and unpack them: several pods that begin at once would each do it."""
        _import(SOCKET, archive, f"--snapshotter={self._snapshotter}")


def load_into(containerd: int, archive: Path) -> None:
    """The same from the outside, given the process; here the first pod that wants an image unpacks it."""
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
