"""The pods of the matrix, as keyturn's webhook makes them, and the Secret as keyturn writes it.

An ignored test of the room `matrix` (src/matrix.rs) answers the reviews and writes the Secrets. What is added by hand
is what others add to a pod: its author, the author of its image, and Amazon's webhook.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from . import doubles

ROOT = Path(__file__).resolve().parent.parent.parent.parent
CARGO = shlex.split(os.environ.get("CARGO", "cargo"))
DELIVERIES = ("endpoint", "files")
Pod = dict[str, Any]

_ENV = "env"
_REGION = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-1"}
# What Amazon's webhook adds, and the two variables of which it adds none if one is there (`addEnvToContainer` in
# pkg/handler/handler.go of aws/amazon-eks-pod-identity-webhook).
_AMAZON = {
    "pod-identity": {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{doubles.POD_IDENTITY[0]}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(doubles.POD_IDENTITY_TOKEN),
    },
    "irsa": {
        "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/of-the-pod",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(doubles.IRSA_TOKEN),
    },
}


class Situation(NamedTuple):
    """What a pod has besides keyturn."""

    name: str
    # The identity that Amazon's webhook adds, before keyturn's webhook or after it.
    amazon: str = ""
    after: bool = False
    # The author's variables.
    variables: dict[str, str] = {}
    # Variables of another Secret, by envFrom.
    env_from: dict[str, str] = {}
    # Files in the home folder of the image.
    home: dict[str, str] = {}
    # Programs that the image lacks.
    hidden: tuple[str, ...] = ()


def _keys(profile: str, access_key_id: str) -> str:
    return f"[{profile}]\naws_access_key_id = {access_key_id}\naws_secret_access_key = secret\n"


# The node's metadata service answers in all of them.
SURROUNDINGS = (
    Situation("node"),
    Situation("pod-identity-before", amazon="pod-identity"),
    Situation("pod-identity-after", amazon="pod-identity", after=True),
    Situation("irsa-before", amazon="irsa"),
    Situation("irsa-after", amazon="irsa", after=True),
)
SITUATIONS = (
    *SURROUNDINGS,
    Situation("no-programs", hidden=("cat", "sh", "bash", "dash", "rbash", "busybox")),
    Situation("image-keys", home={".aws/credentials": _keys("default", "AKIAIMAGE"),
                                  ".aws/config": "[default]\nregion = eu-west-1\n"}),
    Situation("profile", variables={"AWS_PROFILE": "work"},
              home={".aws/credentials": _keys("work", "AKIAPROFILE"),
                    ".aws/config": "[profile work]\nregion = eu-west-1\n"}),
    Situation("env-from", env_from={"AWS_ACCESS_KEY_ID": "AKIAVARIABLE", "AWS_SECRET_ACCESS_KEY": "secret"}),
)


class Injected(NamedTuple):
    """A pod as it starts."""

    environment: dict[str, str]
    # The command line of the endpoint's container, if the pod has it: the path in the image, and the arguments.
    endpoint: list[str]
    # What the webhook told the user who created the pod.
    warnings: list[str]


def bare(situation: Situation) -> Injected:
    """The same pod without keyturn."""
    environment = _environment(_authors(situation, None), situation, {})
    return Injected({"AWS_REGION": "eu-west-1", **environment}, [], [])


def build() -> tuple[dict[tuple[str, str], Injected], dict[str, dict[str, str]]]:
    """The pods by delivery and situation, and the Secrets by kind."""
    wanted = [(delivery, situation) for delivery in DELIVERIES for situation in SITUATIONS]
    pods = [_authors(situation, delivery) for delivery, situation in wanted]
    pods, warnings, secrets = _reviewed(pods)
    for (_, situation), pod in zip(wanted, pods, strict=True):
        if situation.after:
            _amazons(pod, situation.amazon)
    # The API server asks again if another webhook has changed the pod (reinvocationPolicy: IfNeeded).
    again, _, _ = _reviewed(pods)
    injected = {}
    for (delivery, situation), pod, former, said in zip(wanted, again, pods, warnings, strict=True):
        if not situation.after and pod != former:
            raise RuntimeError(f"a second review changes the pod: {delivery}, {situation.name}")
        endpoint = [[*c["command"], *c["args"]] for c in pod["spec"].get("initContainers", [])
                    if c["name"] == "keyturn-endpoint"]
        if bool(endpoint) != (delivery == "endpoint"):
            raise RuntimeError(f"the webhook has chosen another delivery: {delivery}, {situation.name}")
        resolved = _environment(pod, situation, secrets["session"])
        injected[delivery, situation.name] = Injected(resolved, endpoint[0] if endpoint else [], said)
    return injected, secrets


def _authors(situation: Situation, delivery: str | None) -> Pod:
    variables = [{"name": name, "value": value} for name, value in situation.variables.items()]
    container: Pod = {"name": "app", "image": "x", _ENV: variables}
    if situation.env_from:
        container["envFrom"] = [{"secretRef": {"name": "other"}}]
    pod: Pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "namespace": "scoring"},
                "spec": {"containers": [container]}}
    if delivery is not None:
        pod["metadata"]["annotations"] = {"keyturn.dev/aws-config": "alice", "keyturn.dev/delivery": delivery}
    if situation.amazon and (delivery is None or not situation.after):
        _amazons(pod, situation.amazon)
    return pod


def _amazons(pod: Pod, identity: str) -> None:
    """Amazon's webhook."""
    for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
        names = {variable["name"] for variable in container.setdefault(_ENV, [])}
        added = {} if names & set(_REGION) else dict(_REGION)
        if not names & set(_AMAZON[identity]):
            added.update(_AMAZON[identity])
        if identity == "irsa" and "AWS_STS_REGIONAL_ENDPOINTS" not in names:
            added["AWS_STS_REGIONAL_ENDPOINTS"] = "regional"
        container[_ENV] += [{"name": name, "value": value} for name, value in added.items()]


def _reviewed(pods: list[Pod]) -> tuple[list[Pod], list[list[str]], dict[str, dict[str, str]]]:
    """The pods after keyturn's webhook, its warnings, and the Secrets."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "reviews.json").write_text(json.dumps([_review(pod) for pod in pods]))
        command = [*CARGO, "test", "--locked", "--quiet", "--lib", "--", "--ignored", "--exact",
                   "matrix::tests::the_matrix_gets_its_pods_and_secrets"]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "KEYTURN_MATRIX": place}, check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        answers = json.loads((folder / "answers.json").read_text())
        kinds = ("session", "key", "withdrawn")
        secrets = {kind: json.loads((folder / f"secret-{kind}.json").read_text()) for kind in kinds}
    patched = [_patched(pod, answer["response"]) for pod, answer in zip(pods, answers, strict=True)]
    return patched, [answer["response"].get("warnings", []) for answer in answers], secrets


def _review(pod: Pod) -> dict[str, Any]:
    request = {"uid": "1", "namespace": "scoring", "operation": "CREATE", "object": pod,
               "resource": {"group": "", "version": "v1", "resource": "pods"}}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def _patched(pod: Pod, response: dict[str, Any]) -> Pod:
    """JSON patch (RFC 6902), as far as the webhook uses it."""
    pod = copy.deepcopy(pod)
    for operation in json.loads(base64.b64decode(response.get("patch") or base64.b64encode(b"[]"))):
        *path, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place: Any = pod
        for part in path:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if operation["op"] not in ("add", "replace"):
            raise RuntimeError(f"an operation that the matrix does not know: {operation['op']}")
        if not isinstance(place, list):
            place[last] = operation["value"]
        elif last == "-":
            place.append(operation["value"])
        elif operation["op"] == "add":
            place.insert(int(last), operation["value"])
        else:
            place[int(last)] = operation["value"]
    return pod


def _environment(pod: Pod, situation: Situation, secret: dict[str, str]) -> dict[str, str]:
    """The container's variables as the kubelet sets them, and the two that every image has."""
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/run/home"}
    environment.update(situation.env_from)
    for variable in pod["spec"]["containers"][0][_ENV]:
        source = variable.get("valueFrom", {}).get("secretKeyRef")
        if source is None:
            environment[variable["name"]] = variable.get("value", "")
        elif source["key"] in secret:
            environment[variable["name"]] = secret[source["key"]]
        elif not source.get("optional"):
            raise RuntimeError(f"the Secret lacks {source['key']}: the kubelet would not start the container")
    return environment
