"""Cursors as text: opaque to clients, safe in a URL, of bounded length, and told from garbage.

Changes have them and the event log has them. The first letter says of which kind one is; what follows is the
same for both: numbers and texts, packed, with a checksum behind them.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Final, TypeAlias
from zlib import crc32

from consumer.projection.changes_base import Cursor
from schemas.text import is_storable
from schemas.times import Micros

EventPlace: TypeAlias = tuple[Micros, str]
"""(Received at, event id) of the last event that was shown."""

_OF_CHANGES: Final = "1"
_OF_EVENTS: Final = "e"
MAX_CURSOR: Final = 16_384
"""Characters: some 2,000 partitions."""
_CHECK_BYTES: Final = 4
_MORE: Final = 0x80
_LARGEST: Final = 2**63 - 1
_FOREIGN: Final = "it is no cursor of this service"


class BrokenCursorError(ValueError):
    """No cursor of ours, or not all of it."""


def cursor_text(cursor: Cursor) -> str:
    """Letters, digits, ``-`` and ``_``."""
    packed = bytearray()
    for text in (cursor.log_id, cursor.generation):
        encoded = text.encode()
        _pack(packed, len(encoded))
        packed += encoded
    _pack(packed, cursor.turn)
    before = 0
    for partition, offset in sorted(cursor.offsets.items()):
        _pack(packed, partition - before)
        _pack(packed, offset)
        before = partition
    return _sealed(_OF_CHANGES, packed)


def cursor_of(text: str) -> Cursor:
    """Raises BrokenCursorError."""
    packed = _opened(_OF_CHANGES, text)
    try:
        return _unpacked(packed)
    except (IndexError, UnicodeDecodeError):
        raise BrokenCursorError(_FOREIGN) from None


def event_cursor_text(place: EventPlace) -> str:
    """As ``cursor_text``, of a place in the event log."""
    received_at, event_id = place
    packed = bytearray()
    _pack(packed, received_at)
    packed += event_id.encode()
    return _sealed(_OF_EVENTS, packed)


def event_cursor_of(text: str) -> EventPlace:
    """Raises BrokenCursorError."""
    packed = _opened(_OF_EVENTS, text)
    try:
        received_at, place = _number(packed, 0)
        event_id = packed[place:].decode()
    except (IndexError, UnicodeDecodeError):
        raise BrokenCursorError(_FOREIGN) from None
    if not is_storable(event_id):
        raise BrokenCursorError(_FOREIGN)
    return received_at, event_id


def _sealed(kind: str, packed: bytes | bytearray) -> str:
    content = packed + crc32(packed).to_bytes(_CHECK_BYTES)
    return kind + base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _opened(kind: str, text: str) -> bytes:
    if not 1 < len(text) <= MAX_CURSOR or not text.isascii() or text[0] != kind:
        raise BrokenCursorError(_FOREIGN)
    try:
        content = base64.b64decode(text[1:] + "=" * (-(len(text) - 1) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise BrokenCursorError(_FOREIGN) from None
    packed = content[:-_CHECK_BYTES]
    if _sealed(kind, packed) != text:
        raise BrokenCursorError("a part of it is missing or wrong")
    return packed


def _unpacked(packed: bytes) -> Cursor:
    texts, place = [], 0
    for _ in range(2):
        length, place = _number(packed, place)
        if place + length > len(packed):
            raise IndexError
        texts.append(packed[place : place + length].decode())
        place += length
    turn, place = _number(packed, place)
    offsets, partition = {}, 0
    numbers = _numbers(packed, place)
    for step in numbers:
        partition += step
        offsets[partition] = next(numbers, -1)
        if offsets[partition] < 0 or partition > _LARGEST:
            raise IndexError
    return Cursor(texts[0], texts[1], offsets, turn)


def _pack(packed: bytearray, number: int) -> None:
    while number >= _MORE:
        packed.append(number % _MORE | _MORE)
        number //= _MORE
    packed.append(number)


def _numbers(packed: bytes, place: int) -> Iterator[int]:
    while place < len(packed):
        number, place = _number(packed, place)
        yield number


def _number(packed: bytes, place: int) -> tuple[int, int]:
    number, scale = 0, 1
    while True:
        byte = packed[place]
        place += 1
        number += byte % _MORE * scale
        if number > _LARGEST:
            raise IndexError
        if byte < _MORE:
            return number, place
        scale *= _MORE
