"""A cluster that somebody has already (kind, k3d, any other), with what the ground brings to it: images, CRDs, an AWS.

The cluster is somebody's. The ground refuses one that has keyturn's CRDs, makes only what it can find again by a label,
and removes all of that at its end. What tests make besides has to be in namespaces with the same label.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import images
from .gobuild import path_of
from .workspace import GroundError, say, write_json, write_private

LABEL = "keyturn.dev/ground"
GROUP = "keyturn.dev"
# How long pods and deletions may take on a cluster whose speed nobody knows, in seconds.
PATIENCE = 120.0
# Seconds after which the API server is made to look at a CRD again that it is to delete.
AGAIN = 10.0
# An address that is nobody's (RFC 5737): the way there is the way out of this machine.
ELSEWHERE = ("198.51.100.1", 9)
REACH = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)"


class Adopted:
    """One adopted cluster, with everything that is kept about it inside `home`."""

    def __init__(self, home: Path, kubeconfig: str, load_images: str, host: str) -> None:
        self._home = home
        self._given = kubeconfig
        self._load_images = load_images
        self.host = host
        self._id = secrets.token_hex(4)
        self._kubeconfig = home / "kubeconfig"
        self._server = ""
        self._version = ""
        self._is_ours = False

    def begin(self) -> None:
        """Find out how the cluster is reached and whether it can be used. Nothing is made."""
        config = json.loads(_run([str(path_of("kubectl")), f"--kubeconfig={self._given}", "config", "view", "--minify",
                                  "--flatten", "--raw", "-o", "json"], f"{self._given} names no cluster"))
        write_json(self._kubeconfig, config)
        cluster = config["clusters"][0]["cluster"]
        self._server = cluster["server"]
        authority = base64.b64decode(cluster.get("certificate-authority-data", ""))
        write_private(self._home / "ca.crt", authority.decode())
        version = json.loads(self._kubectl("version", "-o", "json", "--request-timeout=20s",
                                           otherwise=f"{self._server} is not reached"))
        self._version = version["serverVersion"]["gitVersion"]
        self.host = self.host or _address_towards(self._server)
        self._listen().close()
        if not self._is_ours:
            self._refuse_what_is_keyturns()
        self._is_ours = True

    def start(self, archive: Path, crds: tuple[str, ...]) -> dict[str, Any]:
        """Bring the images and the CRDs, and see that pods run and reach this machine; what ground.json says of it."""
        load(self._load_images, archive)
        for path in crds:
            self._kubectl("apply", "--server-side", "--recursive", "-f", path, otherwise=f"{path} cannot be applied")
        definitions = self._definitions()
        if definitions:
            self._kubectl("label", "--overwrite", *definitions, f"{LABEL}={self._id}")
            self._kubectl("wait", "--for=condition=Established", f"--timeout={PATIENCE:.0f}s", *definitions)
        self._try_a_pod()
        node = self._get("nodes")["items"][0]
        addresses = {each["type"]: each["address"] for each in node["status"]["addresses"]}
        return {"kubeconfig": str(self._kubeconfig), "server": self._server, "caFile": str(self._home / "ca.crt"),
                "serverVersion": self._version, "loadImages": self._load_images,
                "adopted": {"label": LABEL, "value": self._id},
                "node": {"name": node["metadata"]["name"], "address": addresses["InternalIP"], "host": self.host,
                         "images": images.NAMES}}

    def remove(self) -> None:
        """Remove what has the label, and what is in its namespaces. What cannot be removed is said."""
        if not self._is_ours:
            return
        say(f"removing from {self._server} what was made there")
        try:
            namespaces = self._labelled("namespaces")
            for namespace in namespaces:
                self._uninstall(namespace.partition("/")[2])
            definitions = self._labelled("customresourcedefinitions")
            if namespaces + definitions:
                self._kubectl("delete", "--wait=false", "--ignore-not-found", *namespaces, *definitions)
            begun = time.monotonic()
            deadline, again = begun + PATIENCE, begun + AGAIN
            while left := self._labelled("namespaces") + self._labelled("customresourcedefinitions"):
                # Nobody is left who would do what the finalizers wait for.
                for definition in definitions:
                    self._release_all(definition.partition("/")[2])
                if time.monotonic() > again:
                    again += AGAIN
                    self._look_again(self._labelled("customresourcedefinitions"))
                if time.monotonic() > deadline:
                    raise GroundError(f"{', '.join(left)} did not go within {PATIENCE:.0f} s: {self._conditions(left)}")
                time.sleep(0.2)
            self._kubeconfig.unlink()
        except GroundError as error:
            say(f"{error}\nTo remove it by hand: kubectl delete namespaces,crds -l {LABEL}={self._id}")

    def _refuse_what_is_keyturns(self) -> None:
        present = self._definitions()
        if not present:
            return
        names = ", ".join(name.partition("/")[2] for name in present)
        if set(present) <= set(self._labelled("customresourcedefinitions", LABEL)):
            raise GroundError(f"{self._server} has CRDs of another ground, which uses it or was killed ({names}); if "
                              f"it was killed: kubectl delete namespaces,crds -l {LABEL}")
        raise GroundError(f"{self._server} has keyturn's CRDs already ({names}); the tests would change them and the "
                          "ground would remove them, with every object of them, so it takes a cluster without")

    def _try_a_pod(self) -> None:
        """A pod of the tests' images runs and reaches a port of this machine."""
        namespace = f"keyturn-ground-{self._id}"
        self._create({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": namespace, "labels": {LABEL: self._id}}})
        with self._listen() as listening:
            port = str(listening.getsockname()[1])
            container = {"name": "try", "image": images.NAMES["pythonOnly"], "imagePullPolicy": "Never",
                         "command": ["python3", "-c", REACH, self.host, port]}
            self._create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "try", "namespace": namespace},
                          "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                                   "automountServiceAccountToken": False, "containers": [container]}}, retry=True)
            deadline = time.monotonic() + PATIENCE
            while True:
                status = self._get("-n", namespace, "pod", "try")["status"]
                waiting = [each["state"].get("waiting", {}) for each in status.get("containerStatuses", [])]
                if status.get("phase") == "Succeeded":
                    break
                if any(each.get("reason") == "ErrImageNeverPull" for each in waiting):
                    raise GroundError(f"{images.NAMES['pythonOnly']} is on no node after --load-images "
                                      f"{self._load_images!r}")
                if status.get("phase") == "Failed":
                    raise GroundError(f"pods do not reach this machine at {self.host}; name another of its addresses "
                                      "by --host")
                if time.monotonic() > deadline:
                    raise GroundError(f"a pod did not run within {PATIENCE:.0f} s: {json.dumps(status)}")
                time.sleep(0.2)
        self._kubectl("delete", "namespace", namespace, "--wait=false")

    def _listen(self) -> socket.socket:
        try:
            return socket.create_server((self.host, 0))
        except OSError as error:
            raise GroundError(f"{self.host} is no address of this machine ({error.strerror}); name one by "
                              "--host") from error

    def _look_again(self, definitions: list[str]) -> None:
        """Change CRDs that are being deleted. The API server's controller that deletes them gives up after a conflict and
        tries again when the CRD changes (`crd_finalizer.go` of apiextensions-apiserver)."""
        for definition in definitions:
            self._kubectl("annotate", "--overwrite", definition, f"{LABEL}={time.monotonic()}", check=False)

    def _conditions(self, names: list[str]) -> str:
        """What the API server says of objects that it is to delete."""
        listed = json.loads(self._kubectl("get", "-o", "json", "--ignore-not-found", *names, check=False) or "{}")
        return json.dumps([(each["metadata"].get("finalizers"), each.get("status", {}).get("conditions"))
                           for each in listed.get("items", [listed] if "metadata" in listed else [])])

    def _uninstall(self, namespace: str) -> None:
        """Remove the releases in a namespace, which have objects outside of it."""
        environment = {f"HELM_{name}_HOME": str(self._home / "helm") for name in ("CACHE", "CONFIG", "DATA")}
        helm = [str(path_of("helm")), f"--kubeconfig={self._kubeconfig}", "--namespace", namespace]
        for release in _run([*helm, "list", "--short"], "helm list failed", **environment).split():
            _run([*helm, "uninstall", release], f"release {release} of {namespace} is not removed", **environment)

    def _release_all(self, definition: str) -> None:
        """Remove the finalizers of all objects of a kind."""
        found = self._kubectl("get", definition, "--all-namespaces", "-o", "json", check=False)
        for item in json.loads(found or "{}").get("items", []):
            metadata = item["metadata"]
            if metadata.get("finalizers"):
                namespace = [f"--namespace={metadata['namespace']}"] if "namespace" in metadata else []
                self._kubectl(*namespace, "patch", definition, metadata["name"], "--type=merge",
                              "--patch={\"metadata\":{\"finalizers\":null}}", check=False)

    def _definitions(self) -> list[str]:
        """The CRDs of keyturn's group that are there, as kubectl names them."""
        found = self._get("customresourcedefinitions")["items"]
        return [f"customresourcedefinition.apiextensions.k8s.io/{each['metadata']['name']}" for each in found
                if each["spec"]["group"] == GROUP]

    def _labelled(self, resource: str, selector: str = "") -> list[str]:
        return self._kubectl("get", resource, "-o", "name", "-l", selector or f"{LABEL}={self._id}").split()

    def _get(self, *args: str) -> Any:
        return json.loads(self._kubectl("get", "-o", "json", *args))

    def _create(self, wanted: dict[str, Any], retry: bool = False) -> None:
        """With `retry` for as long as the namespace has no ServiceAccount, which comes a moment later."""
        deadline = time.monotonic() + (PATIENCE if retry else 0)
        while True:
            try:
                self._kubectl("create", "-f", "-", given=json.dumps(wanted))
                return
            except GroundError as error:
                if time.monotonic() > deadline or "serviceaccount" not in str(error):
                    raise
                time.sleep(0.1)

    def _kubectl(self, *args: str, otherwise: str = "", check: bool = True, given: str | None = None) -> str:
        return _run([str(path_of("kubectl")), f"--kubeconfig={self._kubeconfig}", *args],
                    otherwise or f"kubectl {args[0]} failed", check, given, KUBECACHEDIR=str(self._home / "kubectl"))


def load(command: str, archive: Path) -> None:
    """Run the command that gives an archive of images to the nodes: `kind load image-archive {}`."""
    words = shlex.split(command)
    place = [word.replace("{}", str(archive)) for word in words]
    _run(place if place != words else [*words, str(archive)], f"--load-images {command!r} failed")


def _address_towards(server: str) -> str:
    """This machine's address in the network that the API server is in, or, if that is on this machine, the one by which
    others reach it: pods do not see its 127.0.0.1."""
    parts = urlsplit(server)
    address = _own_address((parts.hostname or "", parts.port or 443))
    return _own_address(ELSEWHERE) if address.startswith("127.") else address


def _own_address(towards: tuple[str, int]) -> str:
    """Nothing is sent: the kernel says from where it would."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect(towards)
            own: str = asking.getsockname()[0]
            return own
    except OSError as error:
        raise GroundError(f"there is no way to {towards[0]} ({error.strerror}); name this machine's address, as pods "
                          "reach it, by --host") from error


def _run(command: list[str], otherwise: str, check: bool = True, given: str | None = None, **environment: str) -> str:
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, env={**os.environ, **environment},
                              stdin=None if given is not None else subprocess.DEVNULL)
    except OSError as error:
        raise GroundError(f"{otherwise}: {error}") from error
    if done.returncode and check:
        raise GroundError(f"{otherwise}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
