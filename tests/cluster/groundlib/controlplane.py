"""etcd, kube-apiserver and kube-controller-manager, wired together for one run.

What is switched on is what a careful production cluster has (RBAC, NodeRestriction, OpenShift's
OwnerReferencesPermissionEnforcement), so that a right the operator lacks is missing here too.
"""

from __future__ import annotations

import json
import os
import secrets
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from .gobuild import path_of
from .processes import LOOPBACK, Children, free_port, wait_for
from .workspace import HERE, GroundError, openssl, write_json, write_private

PROGRAMS = ("etcd", "kube-apiserver")
CONTROLLERS = "kube-controller-manager"
ADMIN, MANAGER = "admin", "system:kube-controller-manager"

SERVICES = "10.43.0.0/16"


class ControlPlane:
    """A Kubernetes API that behaves. By itself it has no nodes: pods are stored and never run.

    With an address that others reach it serves nodes, too: `users` are their components, each with its group.
    Without controllers nothing collects garbage, empties namespaces or makes default service accounts. A durable one
    writes to the disk, and its etcd and API server are started again when they have died."""

    def __init__(self, home: Path, children: Children, address: str = LOOPBACK, users: dict[str, str] | None = None,
                 controllers: bool = True, durable: bool = False) -> None:
        self._home = home
        self._children = children
        self._address = address
        self._controllers = controllers
        self._durable = durable
        self._port = free_port()
        self._groups = {ADMIN: "system:masters", MANAGER: "", **(users or {})}
        self._tokens = {user: secrets.token_hex(16) for user in self._groups}
        self.server = f"https://{address}:{self._port}"
        self.kubelet_client_ca = home / "kubelet-client.crt"
        self.ca_file = home / "apiserver" / "apiserver.crt"
        self.kubeconfig = home / "kubeconfig"
        self.audit_log = home / "audit.log"

    def start(self) -> None:
        """Start etcd and the API server; `wait` starts the rest."""
        self._start_apiserver(self._start_etcd())

    def wait(self, crds: list[Path]) -> str:
        """Return the server's version once namespaces get their service accounts: then all three parts work. Without
        controllers, once there are namespaces."""
        wait_for("kube-apiserver's certificate", self.ca_file.is_file, self._children)
        wait_for("kube-apiserver to be ready", lambda: self.get("/readyz"), self._children)
        self.write_kubeconfig(self.kubeconfig, ADMIN)
        for path in crds:
            self._install(path)
        if self._controllers:
            self._start_controller_manager()
            wait_for("kube-controller-manager to make the default service account",
                     lambda: self.get("/api/v1/namespaces/default/serviceaccounts/default"), self._children)
        else:
            wait_for("the default namespace", lambda: self.get("/api/v1/namespaces/default"), self._children)
        version: dict[str, str] = json.loads(self.get("/version") or b"{}")
        return version["gitVersion"]

    def _start_etcd(self) -> str:
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        # The data does not outlive the run, so it need not reach the disk.
        fast = [] if self._durable else ["--unsafe-no-fsync"]
        self._start("etcd", [
            str(path_of("etcd")), f"--data-dir={self._home / 'etcd'}",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
            # Ten thousand objects need room.
            *fast, "--quota-backend-bytes=8589934592", "--log-level=warn"])
        return client

    def _start_apiserver(self, etcd: str) -> None:
        key = self._service_account_key()
        tokens = write_private(self._home / "tokens.csv", "".join(
            f'{token},{user},{user}{"," * bool(self._groups[user])}{self._groups[user]}\n'
            for user, token in self._tokens.items()))
        self._start("kube-apiserver", [
            str(path_of("kube-apiserver")), f"--etcd-servers={etcd}",
            f"--bind-address={self._address}", f"--advertise-address={self._address}", f"--secure-port={self._port}",
            f"--service-cluster-ip-range={SERVICES}", "--allow-privileged", *self._about_nodes(),
            f"--cert-dir={self.ca_file.parent}", f"--token-auth-file={tokens}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={key}", f"--service-account-key-file={key}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement",
            f"--audit-policy-file={HERE / 'audit-policy.yaml'}", f"--audit-log-path={self.audit_log}",
            "--audit-log-maxsize=10000",  # megabytes: a log that rotates cannot be counted
        ])

    def _start(self, name: str, command: list[str]) -> None:
        if self._durable:
            self._children.start_again(name, command)
        else:
            self._children.start(name, command)

    def _about_nodes(self) -> list[str]:
        if self._address == LOOPBACK:
            # Nobody can use an endpoint on a loopback address, and the API server's own validation refuses it.
            return ["--endpoint-reconciler-type=none"]
        key = self.kubelet_client_ca.with_suffix(".key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
                 "-subj", "/O=system:masters/CN=kube-apiserver", "-keyout", str(key),
                 "-out", str(self.kubelet_client_ca))
        return [f"--kubelet-client-certificate={self.kubelet_client_ca}", f"--kubelet-client-key={key}",
                "--kubelet-preferred-address-types=InternalIP"]

    def _start_controller_manager(self) -> None:
        kubeconfig = self._home / "kube-controller-manager.kubeconfig"
        self.write_kubeconfig(kubeconfig, MANAGER)
        self._children.start(CONTROLLERS, [
            str(path_of(CONTROLLERS)), f"--kubeconfig={kubeconfig}",
            "--use-service-account-credentials", f"--service-account-private-key-file={self._service_account_key()}",
            f"--root-ca-file={self.ca_file}", "--secure-port=0", "--leader-elect=false",
            # The default of 20 requests a second would make the removal of thousands of objects the test's subject.
            "--kube-api-qps=500", "--kube-api-burst=1000"])

    def _install(self, crds: Path) -> None:
        """Install CRDs before kube-controller-manager starts. Its garbage collector looks for new kinds every 30 s
        only, so what objects of a later kind own would be left lying for the first 40 s."""
        done = subprocess.run([str(path_of("kubectl")), f"--kubeconfig={self.kubeconfig}", "apply", "--server-side",
                               "--recursive", "-f", str(crds)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, env={**os.environ, "KUBECACHEDIR": str(self._home / "kubectl")})
        if done.returncode:
            raise GroundError(f"{crds} cannot be applied: {done.stdout}")
        wait_for(f"{crds} to be served", self._crds_are_served, self._children)

    def _crds_are_served(self) -> bool:
        """As seen by whoever asks for all kinds there are: that list is a little behind each CRD's own status."""
        listed = json.loads(self.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions") or b"{}")
        kinds = self.get("/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList") or b"{}"
        served = {(group["metadata"]["name"], resource["resource"]) for group in json.loads(kinds).get("items", [])
                  for version in group["versions"] for resource in version.get("resources", [])}
        return {(crd["spec"]["group"], crd["spec"]["names"]["plural"]) for crd in listed["items"]} <= served

    def _service_account_key(self) -> Path:
        key = self._home / "service-accounts.key"
        if not key.is_file():
            openssl("ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", str(key))
        return key

    def write_kubeconfig(self, path: Path, user: str) -> Path:
        """What lets one of the users in."""
        return write_json(path, {
            "apiVersion": "v1", "kind": "Config", "current-context": "ground",
            "clusters": [{"name": "ground",
                          "cluster": {"server": self.server, "certificate-authority": str(self.ca_file)}}],
            "users": [{"name": user, "user": {"token": self._tokens[user]}}],
            "contexts": [{"name": "ground", "context": {"cluster": "ground", "user": user}}]})

    def get(self, path: str, accept: str = "application/json") -> bytes | None:
        """The body of a 200, or nothing: what is not there yet is looked for again."""
        request = urllib.request.Request(self.server + path)
        request.add_header("Authorization", f"Bearer {self._tokens[ADMIN]}")
        request.add_header("Accept", accept)
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        direct: Any = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                                  urllib.request.HTTPSHandler(context=trust))
        try:
            with direct.open(request, timeout=5) as response:
                body: bytes = response.read()
                return body
        except urllib.error.HTTPError:
            return None
