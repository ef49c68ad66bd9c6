"""What the fake can be told to do wrong."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl

from schemas.errors import ErrorBody, internal_error, missing_permission, too_many_requests, unauthorized
from tests.fake_voucherify.bin import FIRST, FakeEntry, entry_id, made_up


class Reply(NamedTuple):
    """An answer of the fake."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}
    cut: bool = False
    """End the connection in the middle of the body."""
    hang: bool = False
    """Answer nothing, for as long as the client waits."""


class Asked(NamedTuple):
    """A request that the fake received."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


Answering = Callable[[Asked, Callable[[], Reply]], Reply]
"""Makes a reply of the request and of what the fake would have answered."""


@dataclass
class Fault:
    """Answers instead of the fake, ``times`` times (None: for ever), once ``after`` requests have passed."""

    answering: Answering
    times: int | None = 1
    method: str | None = None
    after: int = 0
    used: int = field(default=0, init=False)

    def takes(self, asked: Asked) -> bool:
        """Whether it answers this request; counts."""
        if self.method not in {None, asked.method} or self.used == self.times:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.used += 1
        return True


def status(code: int, headers: Mapping[str, str] | None = None, body: bytes | None = None) -> Answering:
    """An error, in the form that Voucherify gives it."""
    bodies: dict[int, ErrorBody] = {
        401: unauthorized(),
        403: missing_permission(),
        429: too_many_requests(),
        500: internal_error(),
    }
    found = bodies.get(code, ErrorBody(code=code, message="Something went wrong")).to_json()
    return lambda _asked, _usual: Reply(code, found if body is None else body, headers or {})


def body(text: bytes, code: int = 200, content_type: str = "application/json") -> Answering:
    """Any body."""
    return lambda _asked, _usual: Reply(code, text, {"Content-Type": content_type})


def html(code: int = 200) -> Answering:
    """A page for people, as proxies and captive portals send it."""
    return body(b"<!doctype html><title>Log in</title>", code, "text/html")


def hanging() -> Answering:
    """No answer at all."""
    return lambda _asked, _usual: Reply(200, hang=True)


def lost() -> Answering:
    """What was asked for is done, but no answer comes."""
    return lambda _asked, usual: usual()._replace(hang=True)


def cut() -> Answering:
    """The usual answer, whose connection ends in the middle of the body."""
    return lambda _asked, usual: usual()._replace(cut=True)


def truncated() -> Answering:
    """The first half of the usual body, as a whole answer."""

    def answer(_asked: Asked, usual: Callable[[], Reply]) -> Reply:
        reply = usual()
        return reply._replace(body=reply.body[: len(reply.body) // 2])

    return answer


def page(entries: list[FakeEntry], *, more: bool = False, cursor: str | None = None) -> bytes:
    """A listing's body. ``cursor`` is the last entry's id where none is given."""
    found: dict[str, object] = {
        "object": "list",
        "data_ref": "data",
        "data": [json.loads(entry.json()) for entry in entries],
        "total": len(entries),
        "has_more": more,
    }
    if more:
        found["more_starting_after"] = cursor or (entries[-1].id if entries else None)
    return json.dumps(found).encode()


def empty() -> Answering:
    """200 with an empty list, whatever the bin holds."""
    return body(page([]))


def wrong_types() -> Answering:
    """JSON of the right members, whose values are of other types."""
    return body(b'{"object":"list","data_ref":"data","data":{"id":7},"total":"many","has_more":"perhaps"}')


def repeating() -> Answering:
    """The same page again and again, which says that more follows."""
    return body(page([made_up(entry_id(FIRST))], more=True))


def endless(start: int = 0) -> Answering:
    """Ever new entries in good order, without end."""
    number = start

    def answer(_asked: Asked, _usual: Callable[[], Reply]) -> Reply:
        nonlocal number
        number += 1
        return Reply(200, page([made_up(entry_id(FIRST + number * 1000))], more=True))

    return answer


def bottomless(step: int = 1 << 30) -> Answering:
    """The same two entries behind the same place, whichever it is: without end, and without an order."""

    def answer(asked: Asked, _usual: Callable[[], Reply]) -> Reply:
        after = dict(parse_qsl(asked.query)).get("starting_after_id", entry_id(FIRST))
        number = int(after.removeprefix("tbe_"), 16)
        return Reply(200, page([made_up(f"tbe_{number + step * n:018x}") for n in (1, 2)], more=True))

    return answer
