"""TLS in front of the AWS of a ground that pods reach, because credentials must not cross a network in the clear.

This is the server, which `aws` starts as a script (`python tls.py ADDRESS PORT PLAIN_PORT CERTIFICATE KEY`). It needs
nothing else.
"""

from __future__ import annotations

import asyncio
import ssl
import sys


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
