"""The fake itself: an ASGI application that answers as Voucherify's bin API does."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, unquote

from schemas.errors import (
    InvalidQuery,
    invalid_query_params,
    method_not_allowed,
    not_found,
    resource_not_found,
    too_many_requests,
    unauthorized,
)
from schemas.trash_bin import parse_bin_query
from tests.fake_voucherify.bin import Bin
from tests.fake_voucherify.faults import Answering, Asked, Fault, Reply

PATH = "/v1/trash-bin"
APP_ID = "voucherify-app-id"
APP_TOKEN = "voucherify-app-token"

Event = dict[str, Any]


@dataclass
class RateRule:
    """So many requests in each period; periods start at whole multiples of their length."""

    limit: int
    seconds: float = 60.0
    period: int = -1
    used: int = 0

    def take(self, now: float) -> tuple[bool, dict[str, str]]:
        """Count a request: whether it is allowed, and the headers that say what is left."""
        if self.period != now // self.seconds:
            self.period, self.used = int(now // self.seconds), 0
        allowed = self.used < self.limit
        self.used += allowed
        opens = (self.period + 1) * self.seconds
        headers = {
            "X-Rate-Limit-Limit": str(self.limit),
            "X-Rate-Limit-Remaining": str(self.limit - self.used),
            "X-Rate-Limit-Retry": str(math.ceil(opens)),
        }
        if not allowed:
            headers["Retry-After"] = str(math.ceil(opens - now))
        return allowed, headers


class FakeVoucherify:
    """Voucherify's bin API over a bin that tests change at will, from any thread.

    ``now`` gives Unix seconds, for the ``Date`` header and the rate limit. ``before`` is called with every
    request before it is answered: the place to change the bin between pages.
    """

    def __init__(
        self,
        *,
        app_id: str = APP_ID,
        app_token: str = APP_TOKEN,
        rate: RateRule | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.bin = Bin()
        self.rate = rate
        self.now = now
        self.before: Callable[[Asked], None] | None = None
        self.deleted: list[str] = []
        self.asked: list[Asked] = []
        """Every request, if ``remember``."""
        self.remember = True
        self.answers: Counter[int] = Counter()
        """How many answers there were, by status; 0 for hung and cut ones."""
        self._credentials = (app_id, app_token)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def script(
        self, answering: Answering, *, times: int | None = 1, method: str | None = None, after: int = 0
    ) -> Fault:
        """Answer in another way from the next request on (or after some); faults take turns in order."""
        fault = Fault(answering, times, method, after)
        with self._lock:
            self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    async def __call__(self, scope: Event, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1").partition("?")[0]
        asked = Asked(scope["method"], path, scope["query_string"].decode("latin-1"), headers)
        if self.remember:
            self.asked.append(asked)
        if self.before is not None:
            self.before(asked)
        reply = self._reply(asked)
        self.answers[0 if reply.hang or reply.cut else reply.status] += 1
        if reply.hang:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await self._send(reply, send)

    async def _send(self, reply: Reply, send: Callable[..., Any]) -> None:
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(reply.body)),
            "Date": formatdate(self.now(), usegmt=True),
            **reply.headers,
        }
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": [
                    (name.lower().encode(), value.encode())
                    for name, value in headers.items()
                    if not (reply.status == 204 and name.startswith("Content-"))
                ],
            }
        )
        if reply.cut:
            # Returning with the answer unfinished makes the server close the connection.
            await send(
                {
                    "type": "http.response.body",
                    "body": reply.body[: len(reply.body) // 2],
                    "more_body": True,
                }
            )
            return
        await send({"type": "http.response.body", "body": reply.body})

    def _reply(self, asked: Asked) -> Reply:
        allowed, told = True, dict[str, str]()
        with self._lock:
            if self.rate is not None:
                allowed, told = self.rate.take(self.now())
            fault = next((fault for fault in self._faults if fault.takes(asked)), None)
        if fault is not None:
            reply = fault.answering(asked, lambda: self._usual(asked))
        elif not allowed:
            reply = Reply(429, too_many_requests().to_json())
        else:
            reply = self._usual(asked)
        return reply._replace(headers={**told, **reply.headers})

    def _usual(self, asked: Asked) -> Reply:
        if (asked.headers.get("x-app-id"), asked.headers.get("x-app-token")) != self._credentials:
            return Reply(401, unauthorized().to_json())
        identifier = unquote(asked.path.removeprefix(PATH).removeprefix("/"))
        if asked.path not in {PATH, f"{PATH}/{asked.path.rpartition('/')[2]}"}:
            return Reply(404, not_found().to_json())
        allowed = "DELETE" if identifier else "GET"
        if asked.method != allowed:
            return Reply(405, method_not_allowed(allowed).to_json(), {"Allow": allowed})
        return self._delete(identifier) if identifier else self._list(asked.query)

    def _delete(self, identifier: str) -> Reply:
        if not self.bin.remove(identifier):
            return Reply(404, resource_not_found("bin_entry", identifier).to_json())
        self.deleted.append(identifier)
        return Reply(204)

    def _list(self, query: str) -> Reply:
        try:
            wanted = parse_bin_query(parse_qsl(query, keep_blank_values=True))
        except InvalidQuery as error:
            return Reply(400, invalid_query_params(error.details).to_json())
        entries, more = self.bin.select(wanted)
        rest = b',"more_starting_after":"%s"' % entries[-1].id.encode() if more else b""
        return Reply(
            200,
            b'{"object":"list","data_ref":"data","data":[%s],"total":%d,"has_more":%s%s}'
            % (
                b",".join([entry.json() for entry in entries]),
                len(entries),
                b"true" if more else b"false",
                rest,
            ),
        )
