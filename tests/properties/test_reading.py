"""Reading is total: every delivery is an event whose text every database stores."""

import json
import re
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from handlers.registry import handler_for
from schemas.envelope import parse, parse_thoroughly
from schemas.events import Delivery, Event, Source
from schemas.ids import record_key
from schemas.jsontext import strip_whitespace
from schemas.own_events import DISCARDED, OBSERVED, PURGED
from schemas.reading import read
from schemas.records import own_headers, read_delivery, webhook_headers
from schemas.text import is_storable
from schemas.times import MAX_MICROS, MIN_MICROS

SAMPLES = [path.read_bytes() for path in sorted(Path("tests/data/voucherify/webhooks").glob("*.json"))]
FIELDS = [
    *(
        "id",
        "object",
        "type",
        "created_at",
        "project_id",
        "data",
        "event",
        "voucher",
        "campaign",
        "deleted_at",
    ),
    *("code", "name", "campaign_id", "entity_id", "group_id", "event_source", "channel", "user"),
]
NAMES = st.sampled_from([None, "voucher.deleted", "EVENTS.CAMPAIGN.DELETED", "customer.created"]) | st.text(
    st.characters(), max_size=20
)
VALUES = st.sampled_from(
    ["voucher.deleted", "campaign.deleted", "event", "2024-01-01T00:00:00Z", "x\x00", "\ud800", "x" * 513, ""]
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | VALUES | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=8),
    max_leaves=30,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A sample with bytes replaced, inserted or cut off."""
    body = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        length = draw(st.integers(0, 8))
        body[start : start + length] = draw(
            st.binary(max_size=4) | st.sampled_from([b"\\u0000", b'"', b"\\ud83d"])
        )
    return bytes(body[: draw(st.sampled_from([len(body), len(body), len(body) // 2]))])


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """A sample with the value of one of its members replaced."""
    document = json.loads(draw(st.sampled_from(SAMPLES)))
    place: Any = document
    while True:
        name = draw(st.sampled_from(sorted(place)))
        if isinstance(place[name], dict) and place[name] and draw(st.booleans()):
            place = place[name]
            continue
        place[name] = draw(DOCUMENTS)
        return json.dumps(document).encode()


BODIES = st.one_of(
    st.binary(max_size=200),
    mutated(),
    altered(),
    DOCUMENTS.map(lambda document: json.dumps(document).encode()),
    DOCUMENTS.map(lambda document: json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")),
)


def texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, BaseModel):
        return [text for each in value.__dict__.values() for text in texts(each)]
    if isinstance(value, tuple):
        return [text for each in value for text in texts(each)]
    return []


def check(event: Event) -> None:
    assert all(is_storable(text) for text in texts(tuple(event._replace(project=""))))
    assert event.event_id
    assert MIN_MICROS <= event.occurred_at <= MAX_MICROS
    assert (event.resource_type is None) == (event.resource_id is None) == (event.resource_name is None)
    assert record_key(event.project, event.resource_type, event.resource_id, event.event_id)
    if event.failure is not None:
        assert event.data is None
        assert re.fullmatch(r"[a-z_]+", event.failure.code)
        assert event.failure.message
        return
    handler = handler_for(event.type, event.source)
    for change in () if handler is None else handler(event):
        assert 0 <= change.evidence_at <= event.received_at
        assert (change.event_id, change.key.resource_id) == (event.event_id, event.resource_id)
        assert all(is_storable(text) for text in texts(change))


def nested(depth: int) -> bytes:
    return b'{"new":' + b"[" * depth + b"]" * depth + b"}"


ODDITIES = [
    *(
        b'{"new":%b}' % each
        for each in (b"01", b"1.", b"-", b"1e", b"1e999", b"-0", b".5", b"+1", b"NaN", b"tru")
    ),
    *(
        b'{"new":"%b"}' % each
        for each in (b"\x01", b"\n", b"\x00", b"\\x", b"\\u12G4", b"\\ud800", b"\\udc00")
    ),
    *(
        b'{"new":"%b"}' % each
        for each in (b"\xff", b"\xed\xa0\x80", b"\xc3\xa9", b"\xf0\x9f\x98\x80", b"\x7f")
    ),
    *(b'{"%b":1}' % each for each in (b"\xff", b"\x01", b"\\ud800", b"\\u0069d")),
    *(
        b'{"id":"%b"}' % each
        for each in (b"\xff", b"\x01", b"\\u0000", b"x" * 512, b"x" * 513, "é".encode() * 512)
    ),
    *(b'{"new":%b}' % (b"1" * digits) for digits in (4200, 4300, 4301, 5000)),
    *(
        b'{"id":%b,"id":%b}' % each
        for each in ((b"1", b'"a"'), (b'"a"', b"1"), (b'"a"', b"null"), (b"null", b"[]"))
    ),
    *(nested(depth) for depth in (150, 198, 199, 200, 201, 500, 2000)),
    *(
        b"",
        b" ",
        b"null",
        b"[]",
        b'"a"',
        b"{",
        b"{}",
        b" {} ",
        b"{}{}",
        b"{,}",
        b'{"id":"a",}',
        b"\xef\xbb\xbf{}",
    ),
    *(
        b'{"data":{"voucher":{"id":"a"}},"data":{"voucher":{}}}',
        b'{"event":[]}',
        b'{"event":{"event_source":7}}',
    ),
]
"""What parsers of JSON may disagree about."""


def test_both_parsers_agree_about_oddities() -> None:
    """Whatever is odd about a body, the quick way to read it ends where the thorough one does."""
    for body in ODDITIES:
        assert parse(body) == parse_thoroughly(body), body[:40]


@given(BODIES)
def test_both_parsers_agree(body: bytes) -> None:
    """The same for any body."""
    assert parse(body) == parse_thoroughly(body)


@given(BODIES, NAMES, st.integers(0, MAX_MICROS))
@example(b"[" * 100_000, None, 0)
@example(b'{"data":' * 100_000, None, 0)
def test_every_webhook_is_an_event(body: bytes, name: str | None, received_at: int) -> None:
    """No body and no path makes reading, headers or handlers raise; the record gives the delivery back."""
    delivery = Delivery("default", "voucherify", name, received_at, body)
    event = read(delivery)
    assert (event.project, event.source, event.received_at) == ("default", "voucherify", received_at)
    check(event)
    assert read(delivery) == event
    headers = webhook_headers(event, event_name=name, signature=b"")
    assert read_delivery(headers, body) == delivery


@given(
    BODIES, st.sampled_from([OBSERVED, PURGED, DISCARDED]) | st.text(max_size=20), st.integers(0, MAX_MICROS)
)
def test_every_own_record_is_an_event(body: bytes, event_type: str, received_at: int) -> None:
    """The same for records that claim to be ours."""
    event = read(Delivery("default", "binmirror", event_type, received_at, body))
    assert event.source == "binmirror"
    if event.failure is not None:
        check(event)


@given(altered() | st.sampled_from(SAMPLES), st.sampled_from([None, "voucher.deleted"]))
def test_white_space_does_not_matter(body: bytes, name: str | None) -> None:
    """A delivery and its stripped form are one event."""
    source: Source = "voucherify"
    stripped = strip_whitespace(body)
    assert read(Delivery("default", source, name, 5, body)) == read(
        Delivery("default", source, name, 5, stripped)
    )


@given(DOCUMENTS, st.sampled_from([None, 0, 3, "\t"]))
def test_stripping_is_what_a_compact_serializer_does(document: object, indent: int | str | None) -> None:
    """For valid JSON, whatever its indentation, the compact form comes out."""
    compact = json.dumps(document, separators=(",", ":")).encode()
    assert strip_whitespace(json.dumps(document, indent=indent).encode()) == compact


@given(BODIES)
def test_stripping_is_total(body: bytes) -> None:
    """Any bytes can be stripped; only white space goes, and a second time nothing does."""
    stripped = strip_whitespace(body)
    assert strip_whitespace(stripped) == stripped
    white = b" \t\r\n"
    assert stripped.translate(None, white) == body.translate(None, white)


@given(st.text(max_size=50), st.text(max_size=50))
def test_own_headers_read_back(event_type: str, project: str) -> None:
    """Any type and project survive the headers."""
    headers = own_headers("bmev_1", event_type, project, "x", 5)
    assert read_delivery(headers, b"") == Delivery(project, "binmirror", event_type, 5, b"")
