"""The metadata endpoint of a machine in AWS, at the address that every SDK asks when it has nothing better.

On many clusters it gives each pod the role of the node, which is wider than what a person may do. A test that sees
`NODE_ROLE_KEY` sees an SDK that fell back to it. Both forms answer: IMDSv2 with its session token, and the
containers' endpoint. As a script (`python metadata.py ADDRESS LOG`) this is the server; it needs nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .processes import Children

ADDRESS = "169.254.169.254"
NODE_ROLE_KEY = "ASIANODEROLE00000000"
ROLE, TOKEN = "node-role", "a-session-of-the-metadata-service"
CREDENTIALS = "/latest/meta-data/iam/security-credentials/"
FOR_CONTAINERS = "/v2/credentials"


class Metadata:
    """One such endpoint, inside the namespaces of a ground with a node."""

    def __init__(self, home: Path, children: Children) -> None:
        self._log = home / "node" / "metadata.log"
        self._children = children

    def start(self) -> None:
        """Start it; a pod that asks too early asks again."""
        subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
        self._children.start("metadata", [sys.executable, __file__, ADDRESS, str(self._log)])

    def told(self) -> dict[str, str]:
        """For ground.json: the log has a line `METHOD PATH STATUS` for each request."""
        return {"endpoint": f"http://{ADDRESS}", "accessKeyId": NODE_ROLE_KEY, "log": str(self._log),
                "containersUri": f"http://{ADDRESS}{FOR_CONTAINERS}"}


class Handler(BaseHTTPRequestHandler):
    """What the endpoint answers."""

    log: Path

    def do_PUT(self) -> None:
        """A session begins."""
        if self.path == "/latest/api/token":
            self._answer(200, TOKEN, {"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
        else:
            self._answer(404, "")

    def do_GET(self) -> None:
        """Everything else."""
        if self.path == FOR_CONTAINERS:
            self._answer(200, json.dumps(_keys()))
        elif self.headers.get("X-aws-ec2-metadata-token") != TOKEN:
            self._answer(401, "")
        elif self.path.rstrip("/") == CREDENTIALS.rstrip("/"):
            self._answer(200, ROLE)
        elif self.path == CREDENTIALS + ROLE:
            self._answer(200, json.dumps({"Code": "Success", "Type": "AWS-HMAC", **_keys()}))
        elif self.path == "/latest/meta-data/placement/region":
            self._answer(200, "us-east-1")
        else:
            self._answer(404, "")

    def log_message(self, format: str, *args: Any) -> None:
        """Each answer is written by `_answer`."""

    def _answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        with open(self.log, "a") as log:
            print(self.command, self.path, status, file=log)
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())


def _keys() -> dict[str, str]:
    now = datetime.now(timezone.utc)
    return {"AccessKeyId": NODE_ROLE_KEY, "SecretAccessKey": "of-the-node", "Token": "of-the-node",
            "LastUpdated": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Expiration": (now + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")}


if __name__ == "__main__":
    Handler.log = Path(sys.argv[2])
    Handler.log.parent.mkdir(parents=True, exist_ok=True)
    Handler.log.touch()
    ThreadingHTTPServer((sys.argv[1], 80), Handler).serve_forever()
