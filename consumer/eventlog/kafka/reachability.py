"""Why a cluster cannot be reached: aiokafka says only that it could not."""

import asyncio
import ssl
import struct
from collections.abc import Sequence
from typing import Final

_SECONDS: Final = 3.0
_API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""A request that every broker answers before it knows who asks: size, key, version, number, no client id."""
_MOST: Final = 3
_TLS_ALERT: Final = b"\x15\x03"


async def why_unreachable(servers: Sequence[str], context: ssl.SSLContext | None) -> str:
    """What stands between us and ``servers`` (``host:port`` each), with the settings to look at."""
    found = await asyncio.gather(*(_look(server, context) for server in servers[:_MOST]))
    return "; ".join(dict.fromkeys(found))


async def _look(server: str, context: ssl.SSLContext | None) -> str:
    host, _, port = server.rpartition(":")
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=context)
    except (OSError, ValueError) as error:
        return f"{server} {_no_connection(error)}"
    try:
        async with asyncio.timeout(_SECONDS):
            writer.write(_API_VERSIONS)
            await writer.drain()
            head = await reader.readexactly(4)
    except (OSError, EOFError) as error:
        return f"{server} {_no_answer(error, tls=context is not None)}"
    finally:
        writer.transport.abort()
    if head.startswith(_TLS_ALERT):
        return f"{server} wants TLS: is KAFKA_SECURITY_PROTOCOL right?"
    return (
        f"{server} answers, but does not let us in: are KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_MECHANISM, "
        "KAFKA_USER and KAFKA_PASSWORD right?"
    )


def _no_connection(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"shows a certificate that is not accepted ({error.verify_message.rstrip('.')}): did the "
            "authorities in KAFKA_CA sign it, for this address?"
        )
    if isinstance(error, ssl.SSLError):
        return f"does not answer in TLS ({error.reason}): is KAFKA_SECURITY_PROTOCOL right?"
    if isinstance(error, TimeoutError):
        return "does not answer"
    return f"cannot be reached ({getattr(error, 'strerror', None) or error})"


def _no_answer(error: Exception, *, tls: bool) -> str:
    if isinstance(error, TimeoutError):
        return "takes connections, but does not answer"
    if tls:
        said = f" ({error.reason})" if isinstance(error, ssl.SSLError) else ""
        return f"hangs up{said}: does it want a KAFKA_CERTIFICATE, or another one?"
    return "hangs up: is KAFKA_SECURITY_PROTOCOL right?"
