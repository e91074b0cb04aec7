"""The ground with a node, tested: what pods, Secrets, Services and images do there, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Callable

from . import node
from .gobuild import path_of
from .inside import TUNABLES
from .oci import Image, Layer, write_archive
from .trying import GROUND, Running, alive, eventually, run

WEBHOOK = """\
import http.server, json, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        answer = {"uid": asked["uid"], "allowed": asked["name"] != "forbidden", "status": {"message": "said the pod"}}
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/given/tls.crt", "/given/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


class Pods(unittest.TestCase):
    """Tests that share one ground with a node; each has its own namespace."""

    ground: Running
    node: dict[str, Any]

    @classmethod
    def setUpClass(cls) -> None:
        if node.missing() is None:
            cls.ground = Running("--node", "--node-role")
            cls.addClassCleanup(cls.ground.end)
            cls.node = cls.ground.told["node"]

    def setUp(self) -> None:
        _skip_without_a_node()
        self.namespace = self.id().rpartition(".")[2].replace("_", "-")
        self.ground.kubectl("create", "namespace", self.namespace)
        eventually("the service account", lambda: self.ground.exists("-n", self.namespace, "serviceaccount", "default"))

    def kubectl(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.ground.kubectl("-n", self.namespace, *args, **options)

    def pod(self, name: str, image: str, *args: str, secret: str | None = None, **container: Any) -> None:
        """A pod that has started; a Secret is at /given."""
        spec: dict[str, Any] = {"terminationGracePeriodSeconds": 0, "containers": [
            {"name": "it", "image": self.node["images"].get(image, image), "imagePullPolicy": "Never",
             "args": list(args), **container}]}
        if secret:
            spec["volumes"] = [{"name": "given", "secret": {"secretName": secret}}]
            spec["containers"][0]["volumeMounts"] = [{"name": "given", "mountPath": "/given"}]
        self.kubectl("create", "-f", "-", given={
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec})
        eventually(f"the pod {name} started", seconds=60, look=lambda: self.phase(name) in ("Running", "Succeeded"))

    def phase(self, name: str) -> str:
        phase: str = self.ground.get("-n", self.namespace, "pod", name)["status"]["phase"]
        return phase

    def logs(self, name: str, enough: Callable[[str], Any]) -> str:
        def look() -> str:
            said = self.kubectl("logs", name, check=False).stdout
            return said if enough(said) else ""
        return str(eventually(f"the log of {name}", look))

    def service(self, name: str, port: int, target: int) -> str:
        """A Service for the pod of this name; its address."""
        self.kubectl("create", "-f", "-", given={
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": target}]}})
        address: str = self.ground.get("-n", self.namespace, "service", name)["spec"]["clusterIP"]
        return address

    def test_the_node_is_ready(self) -> None:
        told = self.ground.get("node", self.node["name"])
        self.assertIn({"type": "InternalIP", "address": self.node["address"]}, told["status"]["addresses"])
        self.assertIn("True", [each["status"] for each in told["status"]["conditions"] if each["type"] == "Ready"])

    def test_python_and_the_aws_cli_run_in_a_pod(self) -> None:
        pinned = (GROUND.parent / "requirements.txt").read_text()
        self.pod("it", "python", "sh", "-c",
                 "python -c 'import boto3, dataikuapi; print(boto3.__version__)'; aws --version")
        said = self.logs("it", lambda log: "aws-cli" in log)
        self.assertIn(f"boto3=={said.splitlines()[0]}\n", pinned)
        self.assertIn(f"awscli=={said.splitlines()[1].split()[0].partition('/')[2]}\n", pinned)

    def test_logs_and_exec(self) -> None:
        self.pod("it", "python", "sh", "-c", "echo said to the log; exec sleep 1000")
        self.logs("it", lambda log: log == "said to the log\n")
        self.assertEqual(self.kubectl("exec", "it", "--", "sh", "-c", "echo $((6 * 7))").stdout, "42\n")

    def test_an_image_without_cat_runs_without_root(self) -> None:
        self.pod("it", "pythonOnly", "-c", "import os, time; print(os.getuid(), flush=True); time.sleep(1000)",
                 command=["python3"], securityContext={"runAsUser": 65532, "runAsNonRoot": True})
        self.logs("it", lambda log: log == "65532\n")
        for program in ("cat", "sh"):
            refused = self.kubectl("exec", "it", "--", program, "/etc/passwd", check=False)
            self.assertIn("executable file not found", refused.stderr)

    def test_a_changed_secret_reaches_its_pod_in_seconds(self) -> None:
        self.kubectl("create", "secret", "generic", "changing", "--from-literal=word=before")
        self.pod("it", "python", "sleep", "1000", secret="changing")
        seen = ["exec", "it", "--", "cat", "/given/word"]
        self.assertEqual(self.kubectl(*seen).stdout, "before")
        self.kubectl("patch", "secret", "changing", "-p", json.dumps({"stringData": {"word": "after"}}))
        eventually("the new word in the pod", lambda: self.kubectl(*seen).stdout == "after", seconds=15)

    def test_a_service_answers_pods_and_the_api_servers_webhook(self) -> None:
        host = f"hook.{self.namespace}.svc"
        with tempfile.TemporaryDirectory() as place:
            run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=hook", "-addext",
                 f"subjectAltName=DNS:{host}", "-keyout", f"{place}/tls.key", "-out", f"{place}/tls.crt"])
            self.kubectl("create", "secret", "generic", "hook", f"--from-file={place}")
        self.pod("hook", "python", "python", "-c", WEBHOOK, secret="hook", readinessProbe={
            "tcpSocket": {"port": 8443}, "periodSeconds": 1})
        address = self.service("hook", 443, 8443)
        self.pod("asking", "python", "sleep", "1000")
        ask = ("import ssl, urllib.request; print(urllib.request.urlopen("
               f"'https://{address}/', context=ssl._create_unverified_context(), timeout=5).read())")
        eventually("an answer for a pod", lambda: self.kubectl(
            "exec", "asking", "--", "python", "-c", ask, check=False).stdout == "b'hello'\n")
        certificate = self.ground.get("-n", self.namespace, "secret", "hook")["data"]["tls.crt"]
        self.kubectl("create", "-f", "-", given={
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "selftest"}, "webhooks": [{
                "name": "hook.ground.example", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                           "resources": ["configmaps"]}],
                "clientConfig": {"service": {"namespace": self.namespace, "name": "hook"}, "caBundle": certificate}}]})
        self.addCleanup(self.kubectl, "delete", "validatingwebhookconfiguration", "selftest")
        refused = eventually("the webhook asked", lambda: self.kubectl(
            "create", "configmap", "forbidden", "--dry-run=server", check=False).stderr)
        self.assertIn("said the pod", refused)
        self.kubectl("create", "configmap", "allowed")

    def test_an_sdk_in_a_pod_uses_the_credentials_that_it_is_given(self) -> None:
        endpoint = self.ground.told["aws"]["endpoint"]
        made = json.loads(run([
            sys.executable, str(GROUND), "aws-account", "--endpoint", endpoint, "--account", "210987654321",
            "--cluster", "test", "--namespace", "x", "--bucket", "of-the-sdk"]).stdout)
        # The account's root, which may; and the user, who may not.
        for name, key, secret in (("may", "210987654321", "any"),
                                  ("may-not", made["accessKeyId"], made["secretAccessKey"])):
            with self.subTest(name):
                file = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
                self.kubectl("create", "secret", "generic", name, f"--from-literal=credentials={file}")
                self.pod(name, "sdkGo", "-bucket", "of-the-sdk", "-times", "1", secret=name, env=[
                    {"name": "AWS_ENDPOINT_URL", "value": endpoint}, {"name": "AWS_REGION", "value": "us-east-1"},
                    {"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/given/credentials"}])
                said = json.loads(self.logs(name, lambda log: log.endswith("\n")))
                self.assertEqual((said["accessKeyId"], said["ok"]), (key, name == "may"), said)

    def test_an_sdk_without_credentials_falls_back_to_the_nodes_role(self) -> None:
        self.pod("it", "pythonOnly", "-c", "import boto3; print(boto3.Session().get_credentials().access_key)",
                 command=["python3"])
        said = self.logs("it", bool)
        self.assertEqual(said.strip(), self.node["metadata"]["accessKeyId"])
        self.assertIn("PUT /latest/api/token 200", Path(self.node["metadata"]["log"]).read_text())

    def test_pods_reach_the_test_and_nothing_beyond_it(self) -> None:
        with socket.create_server((self.node["host"], 0)) as server:
            reach = ("import socket, sys\nfor address in sys.argv[1:]:\n  try:\n"
                     "    socket.create_connection((address, int(%d)), 5); print('reached')\n"
                     "  except OSError as error: print(error.strerror)" % server.getsockname()[1])
            self.pod("it", "pythonOnly", "-c", reach, self.node["host"], "198.51.100.1", command=["python3"])
            said = self.logs("it", lambda log: log.count("\n") == 2)
        self.assertEqual(said.splitlines()[0], "reached")
        self.assertEqual(said.splitlines()[1], "No route to host")

    def test_an_image_of_the_dockerfile_is_loaded(self) -> None:
        with tempfile.TemporaryDirectory() as place:
            for name in ("keyturn", "keyturn-endpoint"):
                shutil.copy(path_of("pause"), f"{place}/{name}")  # as good as any static program
                os.chmod(f"{place}/{name}", 0o700)  # as the umask 077 of the demo leaves it
            name = run([sys.executable, str(GROUND), "image", "--binary-dir", place, "--tag", "selftest:dev",
                        "--out", f"{place}/it.oci.tar"]).stdout.strip()
            self.assertEqual(name, "localhost/selftest:dev")
            run([sys.executable, str(GROUND), "load", "--dir", self.ground.home.name, f"{place}/it.oci.tar"])
        self.pod("it", name, securityContext={"runAsNonRoot": True})


class NodeLife(unittest.TestCase):
    def setUp(self) -> None:
        _skip_without_a_node()

    def start(self, *options: str) -> Running:
        ground = Running("--node", *options)
        self.addCleanup(ground.end)
        return ground

    def test_nothing_of_a_killed_one_is_left_and_its_neighbour_lives_on(self) -> None:
        mounts = Path("/proc/self/mountinfo").read_text()
        settings = _settings_of_the_machine()
        one, other = self.start("--no-aws"), self.start("--no-aws")
        self.assertNotEqual(one.told["node"]["address"], other.told["node"]["address"])
        for ground in (one, other):
            # A connection that nobody closes keeps a network alive, when all else is gone.
            self.pod(ground, "it", image="pythonOnly", command=["python3", "-c", (
                "import os, socket, time; it = socket.create_connection((os.environ['KUBERNETES_SERVICE_HOST'], 443)); "
                "time.sleep(1000)")])
        self.assertEqual(settings, _settings_of_the_machine())

        before = _remains(one)
        self.assertTrue(all(before.values()), before)
        one.launcher.kill()
        one.launcher.wait()
        eventually("nothing left of it", lambda: not any(_remains(one).values()))
        eventually("its files gone", lambda: not Path(one.home.name, "node").exists())
        self.pod(other, "another")

        other.end_input()
        self.assertEqual(other.launcher.wait(30), 0)
        self.assertFalse(any(_remains(other).values()), _remains(other))
        self.assertEqual(mounts, Path("/proc/self/mountinfo").read_text())

    def test_a_component_that_dies_is_reported_and_ends_it(self) -> None:
        ground = self.start("--no-aws")
        os.kill(ground.told["pids"]["kubelet"], 9)
        self.assertEqual(ground.launcher.wait(30), 1)
        self.assertFalse(any(_remains(ground).values()), _remains(ground))

    def test_a_machine_that_cannot_says_why(self) -> None:
        with tempfile.TemporaryDirectory() as nothing:
            done = run([sys.executable, str(GROUND), "node-check"], check=False, PATH=nothing)
            self.assertEqual(done.returncode, 1)
            self.assertIn("a node needs containerd", done.stdout)
            up = run([sys.executable, str(GROUND), "up", "--node", "--dir", nothing], check=False, PATH=nothing)
            self.assertEqual(up.returncode, 1)
            self.assertTrue(up.stderr.startswith("ground: a node needs containerd"), up.stderr)

    def pod(self, ground: Running, name: str, image: str = "pause", **container: Any) -> None:
        ground.kubectl("create", "-f", "-", given={
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{
                "name": "it", "image": ground.told["node"]["images"][image], "imagePullPolicy": "Never",
                **container}]}})
        eventually("the pod running", lambda: ground.get("pod", name)["status"]["phase"] == "Running", seconds=60)


class Adopted(unittest.TestCase):
    """Somebody's cluster, played by a ground with a node, and a second ground that adopts it."""

    theirs: Running

    @classmethod
    def setUpClass(cls) -> None:
        if node.missing() is None:
            cls.theirs = Running("--node", "--no-aws")
            cls.addClassCleanup(cls.theirs.end)

    def setUp(self) -> None:
        _skip_without_a_node()
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = place.name
        self.crds = str(GROUND.parent.parent.parent / "crds")
        self.options = ["--crds", self.crds, "--kubeconfig", self.theirs.told["kubeconfig"], "--load-images",
                        f"{GROUND} load --dir {self.theirs.home.name} {{}}"]

    def refused(self, *options: str) -> str:
        """The one line with which a ground that adopts this cluster does not start."""
        # It has the images: they are those of any ground with a node.
        up = run([sys.executable, str(GROUND), "up", "--dir", f"{self.place}/refused", *self.options,
                  "--load-images", "true {}", *options], check=False)
        self.assertEqual((up.returncode, up.stdout), (1, ""))
        lines = [line for line in up.stderr.splitlines() if line.startswith("ground: ")]
        self.assertEqual(len(lines), 1, up.stderr)
        self.assertNotIn("To remove it by hand", up.stderr)
        return lines[0]

    def names(self) -> set[str]:
        found = self.theirs.kubectl("get", "namespaces,customresourcedefinitions,clusterroles", "-o", "name").stdout
        return {name for name in found.split() if "/system:" not in name}

    def test_pods_run_from_loaded_images_and_all_that_was_made_is_removed(self) -> None:
        before = self.names()
        ours = Running(*self.options)
        self.addCleanup(ours.end)
        self.assertEqual(ours.told["node"]["host"], self.theirs.told["node"]["host"])
        self.assertIn("of another ground", self.refused())

        layer = Layer(Path(self.place, "layer.tar"))
        layer.file("/pause", path_of("pause"), 0o755)
        write_archive(Path(self.place, "it.oci.tar"), [
            Image("localhost/selftest-adopted:dev", [layer.done()], {"Entrypoint": ["/pause"]})])
        run([sys.executable, str(GROUND), "load", "--dir", ours.home.name, f"{self.place}/it.oci.tar"])
        adopted = ours.told["adopted"]
        ours.kubectl("create", "-f", "-", given={"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": "of-a-test", "labels": {adopted["label"]: adopted["value"]}}})
        eventually("the service account", lambda: ours.exists("-n", "of-a-test", "serviceaccount", "default"))
        ready = f"{ours.told['aws']['endpoint']}/_ministack/ready"
        reach = f"import urllib.request; print(urllib.request.urlopen('{ready}', timeout=5).status)"
        for name, image, args in (("loaded", "localhost/selftest-adopted:dev", None),
                                  ("aws", ours.told["node"]["images"]["pythonOnly"], ["python3", "-c", reach])):
            ours.kubectl("-n", "of-a-test", "create", "-f", "-", given={
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
                    "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [{
                        "name": "it", "image": image, "imagePullPolicy": "Never",
                        **({"command": args} if args else {})}]}})
        phase = "jsonpath={.status.phase}"
        for name, wanted in (("loaded", "Running"), ("aws", "Succeeded")):
            eventually(f"the pod {name} {wanted}", seconds=60, look=lambda: ours.kubectl(
                "-n", "of-a-test", "get", "pod", name, "-o", phase).stdout == wanted)
        ours.kubectl("create", "-f", "-", given={
            "apiVersion": "keyturn.dev/v1alpha1", "kind": "AwsConfig", "spec": {"person": "alice"},
            "metadata": {"name": "alice", "namespace": "of-a-test", "finalizers": ["keyturn.dev/cleanup"]}})

        ours.end_input()
        self.assertEqual(ours.launcher.wait(300), 0)
        self.assertEqual(self.names(), before)
        self.assertFalse(Path(ours.home.name, "kubeconfig").exists())

    def test_a_cluster_with_keyturns_crds_is_refused_and_left_as_it_is(self) -> None:
        self.theirs.kubectl("apply", "--server-side", "-f", f"{self.crds}/awsroles.yaml")
        self.addCleanup(self.theirs.kubectl, "delete", "-f", f"{self.crds}/awsroles.yaml")
        before = self.names()
        self.assertIn("has keyturn's CRDs already (awsroles.keyturn.dev)", self.refused())
        self.assertEqual(self.names(), before)

    def test_pods_that_do_not_reach_this_machine_are_a_reason_and_nothing_stays(self) -> None:
        before = self.names()
        self.assertIn("pods do not reach this machine at 127.0.0.1; name another", self.refused("--host", "127.0.0.1"))
        self.assertIn("198.51.100.1 is no address of this machine", self.refused("--host", "198.51.100.1"))
        self.assertEqual(self.names(), before)


def _skip_without_a_node() -> None:
    """For each test and not for a class, so that they are counted."""
    missing = node.missing()
    if missing:
        raise unittest.SkipTest(missing)


def _settings_of_the_machine() -> dict[str, str]:
    return {name: Path("/proc/sys", name).read_text() for name in TUNABLES}


def _remains(ground: Running) -> dict[str, list[str]]:
    """What there is of a ground with a node outside of it."""
    told = ground.told
    addresses = json.loads(run(["ip", "-json", "address"]).stdout)
    interfaces = [each["ifname"] for each in addresses
                  if told["node"]["host"] in [address["local"] for address in each["addr_info"] if "local" in address]]
    # Not rglob, which fails when a group of another ground goes while it looks.
    wanted = f"keyturn-ground-{told['pids']['launcher']}"
    groups = [place for place, _, _ in os.walk("/sys/fs/cgroup") if Path(place).name == wanted]
    started = [name for name, pid in told["pids"].items() if alive(pid)]
    # Shims and pods have no name in ground.json, but their files below its directory.
    others = [process.name for process in Path("/proc").glob("[0-9]*") if _mentions(process, ground.home.name)]
    return {"interfaces": interfaces, "groups": groups, "started": started, "others": others}


def _mentions(process: Path, directory: str) -> bool:
    try:
        return directory in (process / "mountinfo").read_text()
    except OSError:
        return False
