"""kube-scheduler, kubelet and kube-proxy: pods really run, mount Secrets and answer behind Services.

Only for root on Linux, and only inside the namespaces that `isolation` makes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from . import adopted, containerd
from .containerd import PODS, SOCKET, Containerd
from .controlplane import ControlPlane
from .gobuild import path_of
from .inside import Network
from .processes import Children, wait_for
from .workspace import GroundError, write_json

PROGRAMS = ("kube-scheduler", "kubelet", "kube-proxy")
SYSTEM_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr", "runc", "iptables", "nft", "ip", "nsenter",
                   "unshare", "openssl", "buildah")
PACKAGES = ("containerd runc containernetworking-plugins buildah iptables nftables conntrack iproute2 util-linux "
            "openssl ca-certificates")
NAME = "ground"
SCHEDULER, PROXY, KUBELET = "system:kube-scheduler", "system:kube-proxy", f"system:node:{NAME}"
# Who they are; the rights of each are Kubernetes' own.
USERS = {SCHEDULER: "", PROXY: "", KUBELET: "system:nodes"}


def missing() -> str | None:
    """Why this machine cannot run a node, if it cannot."""
    if not sys.platform.startswith("linux"):
        return "a node needs Linux"
    if os.geteuid() != 0:
        return "a node needs root"
    absent = [name for name in SYSTEM_PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"a node needs {', '.join(absent)} (Debian: apt-get install {PACKAGES})"
    try:
        containerd.plugins()
    except GroundError as error:
        return f"{error} (Debian: apt-get install {PACKAGES})"
    return None


class Node:
    """One node, with everything that it writes inside `home`."""

    def __init__(self, home: Path, children: Children, network: Network, sandbox: str, patient: bool) -> None:
        self._home = home
        self._children = children
        self._network = network
        self._patient = patient
        self._containerd = Containerd(home, children, sandbox)

    def begin(self, images: Path) -> None:
        """Start what does not want an API server."""
        self._containerd.start(images)

    def start(self, kubernetes: ControlPlane) -> None:
        """Start what wants an API server."""
        self._containerd.wait()
        config = {user: kubernetes.write_kubeconfig(self._home / f"{user.split(':')[1]}.kubeconfig", user)
                  for user in USERS}
        self._children.start("kube-scheduler", [
            str(path_of("kube-scheduler")), f"--kubeconfig={config[SCHEDULER]}", "--leader-elect=false",
            "--secure-port=0"])
        self._children.start("kubelet", [
            str(path_of("kubelet")), f"--kubeconfig={config[KUBELET]}", f"--hostname-override={NAME}",
            f"--node-ip={self._network.node}", f"--root-dir={self._home / 'kubelet'}",
            f"--config={write_json(self._home / 'kubelet.json', self._kubelet(kubernetes.kubelet_client_ca))}"])
        proxy = write_json(self._home / "kube-proxy.json", {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "nftables",
            "clientConnection": {"kubeconfig": str(config[PROXY])}, "hostnameOverride": NAME, "clusterCIDR": PODS,
            # Limits of the whole machine, which are left as they are.
            "conntrack": {"maxPerCore": 0, "min": 0},
            "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249"})
        self._children.start("kube-proxy", [str(path_of("kube-proxy")), f"--config={proxy}"])

    def wait(self, kubernetes: ControlPlane) -> None:
        """Return when pods can be placed here."""
        wait_for("the node to be ready", lambda: _is_ready(kubernetes.get(f"/api/v1/nodes/{NAME}")), self._children)

    def _kubelet(self, client_ca: Path) -> dict[str, Any]:
        quick = {"configMapAndSecretChangeDetectionStrategy": "Watch", "syncFrequency": "2s"}
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{SOCKET}", "address": self._network.node,
            "authentication": {"x509": {"clientCAFile": str(client_ca)}, "webhook": {"enabled": True},
                               "anonymous": {"enabled": False}},
            "authorization": {"mode": "Webhook"},
            # There is no DNS in the cluster, and the machine's own is none of the pods' business.
            "resolvConf": "",
            "cgroupDriver": "cgroupfs", "failCgroupV1": False, "failSwapOn": False, "enforceNodeAllocatable": [],
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%",
                             "nodefs.inodesFree": "1%"},
            "imageGCHighThresholdPercent": 100, "imageMinimumGCAge": "24h",
            "volumePluginDir": str(self._home / "volume-plugins"), "podLogsDir": str(self._home / "pod-logs"),
            **({} if self._patient else quick)}


def _is_ready(node: bytes | None) -> bool:
    """The kubelet says so, and the taint from before that is gone."""
    if node is None:
        return False
    told = json.loads(node)
    conditions = {condition["type"]: condition["status"] for condition in told["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and not told["spec"].get("taints")


def load(home: Path, archive: Path) -> None:
    """Give the images of an archive to the node of the ground that runs in this directory."""
    try:
        told = json.loads((home / "ground.json").read_text())
    except OSError:
        told = {}
    if not archive.is_file():
        raise GroundError(f"there is no {archive}")
    if "loadImages" in told:
        return adopted.load(told["loadImages"], archive)
    try:
        process: int = told["pids"]["containerd"]
    except KeyError:
        raise GroundError(f"no ground with a node runs in {home}") from None
    containerd.load_into(process, archive)
