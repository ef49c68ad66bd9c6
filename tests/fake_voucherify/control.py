"""Tells a running fake what to do wrong and what its bin holds: by HTTP, for trials by hand.

``curl -X POST 'http://127.0.0.1:9000/_fake?fault=503:times=2,method=DELETE'``; of the same form are
``add=voucher:id=v_1,name=SUMMER,age=7200``, ``remove=v_1`` (a resource's or an entry's id), ``heal=`` and
``empty=``. ``GET /_fake`` says how many entries there are and what was answered.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from schemas.times import format_time
from tests.fake_voucherify.app import Event, FakeVoucherify
from tests.fake_voucherify.bin import FakeEntry, entry_id
from tests.fake_voucherify.faults import (
    Answering,
    bottomless,
    cut,
    empty,
    endless,
    hanging,
    html,
    lost,
    repeating,
    status,
    truncated,
    wrong_types,
)

PATH: Final = "/_fake"
FAULTS: Final[Mapping[str, Callable[[], Answering]]] = {
    "html": html,
    "hang": hanging,
    "lost": lost,
    "cut": cut,
    "truncated": truncated,
    "empty": empty,
    "repeating": repeating,
    "endless": endless,
    "bottomless": bottomless,
    "wrong-types": wrong_types,
}
"""By name; besides, any status from 400 to 599."""


def misbehave(fake: FakeVoucherify, spec: str) -> None:
    """Script what ``NAME[:times=N,after=N,method=M,retry_after=S]`` says; without times: until healed.

    Raises ValueError for anything else.
    """
    name, options = _split(spec)
    retry_after = options.pop("retry_after", None)
    times, after, method = options.pop("times", None), options.pop("after", "0"), options.pop("method", None)
    if options:
        raise ValueError(f"{spec}: no such option: {', '.join(options)}")
    if name in FAULTS:
        answering = FAULTS[name]()
    elif name.isdigit() and 400 <= int(name) <= 599:
        answering = status(int(name), {"Retry-After": retry_after} if retry_after else None)
    else:
        raise ValueError(f"{name}: not one of {', '.join(FAULTS)}, nor a status from 400 to 599")
    fake.script(answering, times=int(times) if times else None, method=method, after=int(after))


class Controlled:
    """A fake that also listens to what it is told."""

    def __init__(self, fake: FakeVoucherify) -> None:
        self._fake = fake

    async def __call__(self, scope: Event, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["path"] != PATH:
            await self._fake(scope, receive, send)
            return
        code, told = 200, self._state()
        if scope["method"] == "POST":
            try:
                for name, value in parse_qsl(scope["query_string"].decode(), keep_blank_values=True):
                    self._do(name, value)
                told = self._state()
            except ValueError as error:
                code, told = 400, {"error": str(error)}
        body = json.dumps(told).encode() + b"\n"
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": code, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _state(self) -> dict[str, Any]:
        fake = self._fake
        answers = {str(code): number for code, number in sorted(fake.answers.items())}
        return {"entries": len(fake.bin), "deleted": len(fake.deleted), "answers": answers}

    def _do(self, name: str, value: str) -> None:
        match name:
            case "fault":
                misbehave(self._fake, value)
            case "heal":
                self._fake.heal()
            case "empty":
                self._fake.bin.clear()
            case "add":
                self._fake.bin.add(_entry(value))
            case "remove":
                self._remove(value)
            case _:
                raise ValueError(f"{name}: not one of fault, heal, empty, add, remove")

    def _remove(self, wanted: str) -> None:
        ids = [entry.id for entry in self._fake.bin if wanted in {entry.id, entry.resource_id}]
        if not ids:
            raise ValueError(f"{wanted}: neither an entry's nor a resource's id")
        for identifier in ids:
            self._fake.bin.remove(identifier)


def _entry(spec: str) -> FakeEntry:
    """``TYPE:id=…,name=…,parent=…,age=SECONDS``: an entry deleted so long ago."""
    kind, options = _split(spec)
    moment = round((time.time() - float(options.pop("age", "0"))) * 1_000_000)
    resource_id = options.pop("id", None) or f"{kind}_{secrets.token_hex(6)}"
    name = options.pop("name", resource_id)
    parent = options.pop("parent", None)
    if options:
        raise ValueError(f"{spec}: no such option: {', '.join(options)}")
    identifier = entry_id(moment, secrets.randbits(30))
    return FakeEntry(identifier, format_time(moment), resource_id, kind, name, parent)


def _split(spec: str) -> tuple[str, dict[str, str]]:
    name, _, rest = spec.partition(":")
    pairs = (pair.partition("=") for pair in rest.split(",") if pair)
    return name, {key: value for key, _, value in pairs}
