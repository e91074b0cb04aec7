"""TLS in front of the AWS of a ground that pods reach: what holds credentials does not cross a network in the clear.

As a script (`python tls.py ADDRESS PORT PLAIN_PORT CERTIFICATE KEY`) this is the server; it needs nothing else.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .processes import Children

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Front:
    """A server with a certificate of its own authority, in front of a port of the same address."""

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
        _openssl("req", "-x509", *_KEY, "-days", "30", "-subj", "/CN=ground-aws", "-keyout", authority, "-out", self.ca_file)
        _openssl("req", *_KEY, "-subj", "/CN=aws", "-keyout", key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.ca_file, "-CAkey", authority, "-CAcreateserial", "-days", "30",
                 "-extfile", extensions, "-out", certificate)
        self._children.start("aws-tls", [sys.executable, __file__, self._address, str(self._port), str(self._plain),
                                         str(certificate), str(key)])


def _openssl(*args: str | Path) -> None:
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def _serve(address: str, port: int, plain: int, context: ssl.SSLContext) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward_reader, onward = await asyncio.open_connection(address, plain)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pipe(reader, onward), _pipe(onward_reader, writer))

    server = await asyncio.start_server(connected, address, port, ssl=context)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    _context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _context.load_cert_chain(sys.argv[4], sys.argv[5])
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), _context))
