"""ministack, an AWS on this machine that checks IAM: trust policies, external IDs, session policies, S3.

`AUTH=true` makes it say no. An access key id of twelve digits is the root of that account, so every test
can have an AWS account of its own on one ministack.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from . import pytools
from .processes import LOOPBACK, Children, free_port, wait_for
from .workspace import openssl

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Aws:
    """One ministack, with everything it writes inside `home`."""

    def __init__(self, home: Path, children: Children, address: str = LOOPBACK) -> None:
        self._home = home
        self._children = children
        self._address = address
        self._port = free_port()
        self.endpoint = f"http://{address}:{self._port}"
        # The operator talks to STS over TLS, except on its own machine.
        self._front = None if address == LOOPBACK else Front(home / "tls", children, address, free_port(), self._port)

    def start(self) -> None:
        """Start it; `wait` says when it answers."""
        temporary = self._home / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        if self._front:
            self._front.start()
        self._children.start("ministack", [str(pytools.tool("python")), "-m", "ministack"], cwd=self._home, env={
            **without_aws_settings(), "AUTH": "true", "BIND_HOST": self._address, "GATEWAY_PORT": str(self._port),
            "TMPDIR": str(temporary), "STATE_DIR": str(self._home / "state"), "PYTHONUNBUFFERED": "1",
            # It would listen on fixed ports for these, and two runs would meet.
            "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0",
            # It would remove the containers that another ministack started.
            "DOCKER_HOST": f"unix://{self._home / 'no-docker.sock'}"})

    def wait(self) -> None:
        """Return when it answers."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        wait_for("ministack to be ready",
                 lambda: direct.open(f"{self.endpoint}/_ministack/ready", timeout=5).status == 200, self._children)


    def told(self) -> dict[str, str]:
        """For ground.json. A client of `stsEndpoint` has to trust the authority in `caFile`, if there is one."""
        if self._front is None:
            return {"endpoint": self.endpoint, "stsEndpoint": self.endpoint}
        return {"endpoint": self.endpoint, "stsEndpoint": self._front.endpoint, "caFile": str(self._front.ca_file)}


class Front:
    """TLS with a certificate of its own authority, in front of a port of the same address."""

    def __init__(self, home: Path, children: Children, address: str, port: int, plain: int) -> None:
        self._home, self._children, self._address, self._port, self._plain = home, children, address, port, plain
        self.endpoint = f"https://{address}:{port}"
        self.ca_file = home / "ca.crt"

    def start(self) -> None:
        """Make the certificate and start to serve."""
        self._home.mkdir(parents=True, exist_ok=True)
        key, request, certificate = (self._home / name for name in ("tls.key", "tls.csr", "tls.crt"))
        authority, extensions = self._home / "ca.key", self._home / "extensions"
        kind = "IP" if self._address.replace(".", "").isdigit() or ":" in self._address else "DNS"
        extensions.write_text(f"subjectAltName={kind}:{self._address}\n")
        openssl("req", "-x509", *_KEY, "-days", "30", "-subj", "/CN=ground-aws", "-keyout", authority, "-out", self.ca_file)
        openssl("req", *_KEY, "-subj", "/CN=aws", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.ca_file, "-CAkey", authority, "-CAcreateserial", "-days", "30",
                 "-extfile", extensions, "-out", certificate)
        self._children.start("aws-tls", [sys.executable, str(Path(__file__).with_name("tls.py")), self._address, str(self._port), str(self._plain),
                                         str(certificate), str(key)])


def without_aws_settings() -> dict[str, str]:
    """This process's environment, without a user's own AWS profile, credentials and region."""
    return {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}


def account(arguments: list[str]) -> int:
    """Set up an account: a script of its own, because it needs boto3."""
    pytools.install()
    script = Path(__file__).with_name("aws_account.py")
    return subprocess.run([str(pytools.tool("python")), str(script), *arguments], env=without_aws_settings(),
                          stdout=sys.stdout).returncode
