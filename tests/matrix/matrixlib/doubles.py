"""What a client in a pod can reach: S3, and three identities that are not the person's.

All of it records. S3 knows by the access key ID as whom a request was signed. An access key ID begins with the name of
its owner (`OWNERS`).
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

S3 = ("127.0.0.1", 9000)
POD_IDENTITY = ("169.254.170.23", 80)
NODE = ("169.254.169.254", 80)
STS = ("127.0.0.3", 443)
STS_NAMES = ("sts.amazonaws.com", "sts.eu-west-1.amazonaws.com", "sts.us-east-1.amazonaws.com")
PERSON = "ASIAPERSON"
OWNERS = {
    PERSON: "the person",
    "ASIAPODIDENTITY": "Pod Identity",
    "ASIANODE": "the node",
    "AKIAIMAGE": "the keys in the image",
    "AKIAPROFILE": "the profile in the image",
    "AKIAVARIABLE": "the keys of envFrom",
}
# The client asked STS for the identity of the pod's token. That counts as having it.
TOKEN = "the token of IRSA"
POD_IDENTITY_TOKEN = Path("/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token")
IRSA_TOKEN = Path("/var/run/secrets/eks.amazonaws.com/serviceaccount/token")

_LIST = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>bucket</Name><Prefix>{prefix}</Prefix>
<KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents><Key>{key}</Key>
<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"e"</ETag><Size>{size}</Size>
<StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>"""
_ERROR = "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
_DELTA = "table/_delta_log/00000000000000000000.json"
_OBJECTS = {
    "object": b"a,b\n1,2\n",
    _DELTA: b"\n".join(json.dumps(line).encode() for line in (
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": {"id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9", "format": {"provider": "parquet", "options": {}},
                      "schemaString": json.dumps({"type": "struct", "fields": [
                          {"name": "a", "type": "long", "nullable": True, "metadata": {}}]}),
                      "partitionColumns": [], "configuration": {}, "createdTime": 1767225600000}},
    )),
}


class World:
    """What the doubles know and have seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[str] = []
        # The ends of the person's sessions, in seconds since 1970.
        self._ends: dict[str, float] = {}

    def allow(self, access_key_id: str, end: float) -> None:
        """The person's key is good until `end`."""
        with self._lock:
            self._ends[access_key_id] = end

    def is_good(self, access_key_id: str) -> bool:
        """Whether AWS accepts the key. It accepts all keys that are not the person's."""
        with self._lock:
            return not access_key_id.startswith(PERSON) or self._ends.get(access_key_id, 0) > time.time()

    def see(self, access_key_id: str) -> None:
        """A request was signed with this key."""
        with self._lock:
            self._seen.append(access_key_id)

    def seen(self) -> list[str]:
        """What was seen since the last question."""
        with self._lock:
            seen, self._seen = self._seen, []
        return seen

    def start(self) -> None:
        """Serves everything, in threads."""
        for address, answer in ((S3, self._s3), (POD_IDENTITY, self._pod_identity), (NODE, self._node)):
            server = ThreadingHTTPServer(address, _handler(answer))
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
        listener = socket.create_server(STS)
        threading.Thread(target=self._sts, args=(listener,), daemon=True).start()

    def _sts(self, listener: socket.socket) -> None:
        # No client trusts a certificate that a double could show. The call alone says enough.
        while True:
            connection, _ = listener.accept()
            self.see(TOKEN)
            connection.close()

    def _s3(self, request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        signed = re.search(r"Credential=([A-Za-z0-9]+)/", request.headers.get("Authorization", ""))
        if signed is None:
            self.see("")
            return 403, _ERROR.format(code="AccessDenied", message="the request is not signed").encode()
        self.see(signed[1])
        if not self.is_good(signed[1]):
            code, message = ("ExpiredToken", "The provided token has expired.")
            if not request.headers.get("x-amz-security-token"):
                code = "InvalidAccessKeyId"
                message = "The AWS Access Key Id you provided does not exist in our records."
            return 403, _ERROR.format(code=code, message=message).encode()
        path, _, query = request.path.partition("?")
        key = path.removeprefix("/bucket").strip("/")
        if not key:
            key = _DELTA if "delta" in query or "table" in query else "object"
            return 200, _LIST.format(prefix="", key=key, size=len(_OBJECTS[key])).encode()
        if key in _OBJECTS:
            return 200, _OBJECTS[key]
        return 404, _ERROR.format(code="NoSuchKey", message="no such key").encode()

    @staticmethod
    def _pod_identity(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        if request.headers.get("Authorization") != "pod-identity":
            return 401, b"{}"
        return 200, json.dumps({**_keys("ASIAPODIDENTITY"), "AccountId": "123456789012"}).encode()

    @staticmethod
    def _node(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        path = request.path.rstrip("/")
        if path.endswith("/api/token"):
            return 200, b"metadata-token"
        if path.endswith("/security-credentials") or path.endswith("/security-credentials-extended"):
            return 200, b"node-role"
        if path.endswith("/node-role"):
            keys = {**_keys("ASIANODE"), "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z"}
            return 200, json.dumps(keys).encode()
        if path.endswith("/placement/region"):
            return 200, b"eu-west-1"
        return 404, b""


def _keys(access_key_id: str) -> dict[str, str]:
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 6 * 3600))
    return {"AccessKeyId": access_key_id, "SecretAccessKey": "secret", "Token": "token", "Expiration": end}


def _handler(answer: Callable[[BaseHTTPRequestHandler], tuple[int, bytes]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = answer(self)
            whole, part = len(body), re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if status == 200 and part and int(part[1]) < whole:
                first, last = int(part[1]), min(int(part[2] or whole), whole - 1)
                status, body = 206, body[first:last + 1]
                self.send_response(status)
                self.send_header("Content-Range", f"bytes {first}-{last}/{whole}")
            else:
                self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"e"')
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            kind = "application/json" if body.startswith(b"{") else "application/xml"
            self.send_header("Content-Type", kind)
            self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = reply

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler
