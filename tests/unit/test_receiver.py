"""The webhook endpoint."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from pysqlite3 import dbapi2 as sqlite

from consumer.clock import SystemClock
from consumer.errors import LogUnavailableError, NotDurableError, RecordRefusedError
from consumer.eventlog.base import Appended
from consumer.eventlog.sqlite import SqliteProducer
from consumer.metrics import Metrics
from consumer.web.signature import sign
from schemas.records import read_delivery
from schemas.samples import voucher_deleted
from tests.unit.webkit import (
    DATA,
    DELETED,
    PATH,
    PROJECT,
    SECRET,
    FailingProducer,
    ListProducer,
    Web,
    is_error,
)

SAMPLES: Final = sorted((DATA / "webhooks").iterdir())


def headers_of(producer: ListProducer) -> dict[str, bytes]:
    (record,) = producer.records
    return dict(record.headers)


async def test_stores_what_was_received() -> None:
    """A signed delivery is stored byte for byte under its resource's key, and answered 202 with its place."""
    producer = ListProducer()
    web = Web(producer)
    response = await web.post(DELETED)
    assert response.status_code == 202
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "event_id": "evvou_0e451d8bb1100d79dd",
        "position": {"partition": 0, "offset": 0},
        "stored": "log",
    }
    (record,) = producer.records
    assert record.value == DELETED
    assert record.key == b"default/voucher/v_SLmKIus1KXxx5N9qT1ZMVWOu2xk6JxJs"
    delivery = read_delivery(record.headers, record.value)
    assert delivery.project == "default"
    assert delivery.source == "voucherify"
    assert headers_of(producer)["voucherify-signature"] == sign(DELETED, SECRET)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
async def test_every_published_sample(sample: Any) -> None:
    """Every body that Voucherify publishes is answered 202."""
    web = Web(ListProducer())
    assert (await web.post(sample.read_bytes())).status_code == 202


async def test_one_line_and_one_count_per_delivery() -> None:
    """A delivery leaves one log line and one count, with neither secret nor signature nor body."""
    web = Web(ListProducer())
    await web.post(DELETED)
    line = web.line
    assert line["action"] == "delivery"
    assert line["level"] == "info"
    assert line["outcome"] == "stored"
    assert line["status"] == 202
    assert line["project"] == "default"
    assert line["event_id"] == "evvou_0e451d8bb1100d79dd"
    assert line["type"] == "voucher.deleted"
    assert line["delivery_id"] == "whs_0e451d90282927d378"
    assert line["bytes"] == len(DELETED)
    assert line["duration_ms"] >= 0
    text = json.dumps(line)
    assert SECRET.decode() not in text
    assert sign(DELETED, SECRET).decode() not in text
    assert "DISCOUNT_VOUCHER" not in text
    assert web.count("stored") == 1
    assert web.metrics.registry.get_sample_value("binmirror_delivery_seconds_count") == 1


async def test_duplicates_are_stored_again() -> None:
    """A duplicate is no error: the worker recognises it."""
    producer = ListProducer()
    web = Web(producer)
    first, second = await web.post(DELETED), await web.post(DELETED)
    assert first.status_code == second.status_code == 202
    assert len(producer.records) == 2


async def test_spooled() -> None:
    """What went to the spool has no position yet, and says so."""
    web = Web(ListProducer(Appended(None, "spool")))
    response = await web.post(DELETED)
    assert response.status_code == 202
    assert response.json()["position"] is None
    assert response.json()["stored"] == "spool"
    assert web.count("spooled") == 1


async def test_unwanted_types_are_not_stored() -> None:
    """A verified delivery of a type that nobody asked for is answered 202 and not kept."""
    producer = ListProducer()
    web = Web(producer)
    response = await web.post((DATA / "webhooks" / "redemption.succeeded.json").read_bytes())
    assert response.status_code == 202
    assert response.json()["stored"] is False
    assert response.json()["position"] is None
    assert producer.records == []
    assert web.count("unwanted") == 1


@pytest.mark.parametrize(
    ("pattern", "kept"), [("*", True), ("redemption.*", True), ("Redemption.*", False), ("voucher.*", False)]
)
async def test_patterns(pattern: str, *, kept: bool) -> None:
    """The project's patterns decide, case-sensitively, what is stored."""
    producer = ListProducer()
    web = Web(producer, projects={"default": replace(PROJECT, event_types=(pattern,))})
    await web.post((DATA / "webhooks" / "redemption.succeeded.json").read_bytes())
    assert bool(producer.records) is kept


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{",
        b"{}",
        b"[]",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"test": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1e999999}',
        b'{"a": 1, "a": 2}',
        b'{"test": true}',
        DELETED[:700],
        DELETED.replace(b"v_SLmKIus1KXxx5N9qT1ZMVWOu2xk6JxJs", b"\\u0000"),
        DELETED.replace(b"evvou_0e451d8bb1100d79dd", b"\\u0000"),
        DELETED.replace(b"evvou_0e451d8bb1100d79dd", b"\\ud83d"),
        DELETED.replace(b"evvou_0e451d8bb1100d79dd", b'quote \\" and \\\\ and \xf0\x9f\x8e\x9f\n'),
        DELETED.replace(b"evvou_0e451d8bb1100d79dd", b"x" * 10_000),
    ],
    ids=lambda body: repr(body[:20]) + str(len(body)),
)
async def test_signed_but_senseless(body: bytes) -> None:
    """Whatever is signed is kept and answered 202 with well-formed JSON, sense or none."""
    producer = ListProducer()
    web = Web(producer)
    response = await web.post(body)
    assert response.status_code == 202
    assert response.json()["event_id"]
    assert producer.records[0].value == body
    assert web.line["outcome"] == "stored"


@pytest.mark.parametrize(
    "error",
    [
        LogUnavailableError("away"),
        NotDurableError("neither log nor spool"),
        RecordRefusedError("too large"),
        RuntimeError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_not_durable(error: Exception) -> None:
    """Whatever keeps a delivery from being stored is our fault: 503 and soon again, never a 4xx."""
    web = Web(FailingProducer(error))
    response = await web.post(DELETED)
    assert is_error(response, 503, "service_unavailable")
    assert response.headers["retry-after"] == "5"
    assert web.line["level"] == "error"
    assert web.line["outcome"] == "unavailable"
    assert ("exception" in web.line) is isinstance(error, RuntimeError)
    assert web.count("unavailable") == 1


async def test_shutting_down() -> None:
    """From the stop signal on nothing is taken any more."""
    producer = ListProducer()
    web = Web(producer)
    web.shutting_down = True
    response = await web.post(DELETED)
    assert is_error(response, 503, "service_unavailable")
    assert response.headers["retry-after"] == "5"
    assert producer.records == []
    assert web.line["reason"] == "shutting_down"


async def test_cancelled_in_flight() -> None:
    """A request that is cut off at the end of the shutdown deadline is answered 503."""
    producer = ListProducer()
    producer.may_answer.clear()
    web = Web(producer)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": DELETED, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "headers": [(b"x-voucherify-signature", sign(DELETED, SECRET))],
    }
    task = asyncio.ensure_future(web.app(scope, receive, send))
    await producer.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sent[0]["status"] == 503
    assert web.line["reason"] == "shutting_down"


async def test_content_type_and_encoding_are_not_looked_at() -> None:
    """What is signed is the body as it comes, whatever the headers call it."""
    producer = ListProducer()
    web = Web(producer)
    async with web.client() as client:
        headers = {
            "X-Voucherify-Signature": sign(DELETED, SECRET).decode(),
            "Content-Type": "text/plain; charset=utf-16",
            "Content-Encoding": "gzip",
        }
        response = await client.post(PATH, content=DELETED, headers=headers)
    assert response.status_code == 202
    assert producer.records[0].value == DELETED


async def test_into_a_real_log(tmp_path: Path) -> None:
    """Deliveries at once get one offset each in a SQLite log, in which they lie as received."""
    metrics, path = Metrics(), tmp_path / "log.db"
    producer = SqliteProducer(path, clock=SystemClock(), metrics=metrics)
    await producer.start()
    web = Web(producer)
    answers = await asyncio.gather(*(web.post(voucher_deleted()) for _ in range(100)))
    await producer.stop()
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(answer.json()["position"]["offset"] for answer in answers) == list(range(100))


async def test_log_that_is_locked(tmp_path: Path) -> None:
    """A log that cannot be written within its deadline: 503, and 202 again once it can be."""
    path = tmp_path / "log.db"
    producer = SqliteProducer(path, clock=SystemClock(), metrics=Metrics(), deadline=0.3)
    await producer.start()
    web = Web(producer)
    blocker = sqlite.connect(str(path), isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert is_error(await web.post(DELETED), 503, "service_unavailable")
    blocker.execute("ROLLBACK")
    blocker.close()
    assert (await web.post(DELETED)).status_code == 202
    await producer.stop()
