"""The yardstick: a bare ASGI application on a plain uvicorn that verifies a delivery and stores it durably.

    python -m benchmarks.bare        settings as those of ``binmirror serve --role receiver``

No event is read, nothing is counted or logged, nothing is answered but a constant. The signature is checked
by the standard library, the durable write is that of the service.
"""

import hashlib
import hmac

import structlog
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from consumer.bootstrap.parts import Parts
from consumer.clock import SystemClock
from consumer.eventlog.base import Producer
from consumer.metrics import Metrics
from consumer.settings import load_settings
from consumer.types import NewRecord

_ANSWER = b'{"stored":"log"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_ANSWER))]


class Bare:
    """The application."""

    def __init__(self, producer: Producer, secret: bytes) -> None:
        self._producer = producer
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        signature = dict(scope["headers"]).get(b"x-voucherify-signature", b"")
        expected = hmac.new(self._secret, body, hashlib.sha256).hexdigest().encode()
        status = 401
        if hmac.compare_digest(expected, signature):
            await self._producer.append(NewRecord(signature[:24], body, (("signature", signature),)))
            status = 202
        await send({"type": "http.response.start", "status": status, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _ANSWER})


async def serve() -> None:
    settings = load_settings()
    parts = Parts(settings, clock=SystemClock(), metrics=Metrics(), log=structlog.get_logger())
    producer, _ = parts.producer()
    await producer.start()
    (project,) = settings.resolved_projects().values()
    config = uvicorn.Config(
        Bare(producer, project.webhook_secrets[0]),
        host=settings.host,
        port=settings.port,
        access_log=False,
        lifespan="off",
        log_level="warning",
    )
    await uvicorn.Server(config).serve()
    await producer.stop()


if __name__ == "__main__":
    uvloop.run(serve())
