"""Cursors as text: opaque to clients, safe in a URL, of bounded length, and told from garbage."""

import base64
import binascii
from collections.abc import Iterator
from typing import Final
from zlib import crc32

from consumer.projection.changes_base import Cursor

_VERSION: Final = "1"
MAX_CURSOR: Final = 16_384
"""Characters: some 2,000 partitions."""
_CHECK_BYTES: Final = 4
_MORE: Final = 0x80
_LARGEST: Final = 2**63 - 1


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
    packed += crc32(packed).to_bytes(_CHECK_BYTES)
    return _VERSION + base64.urlsafe_b64encode(packed).rstrip(b"=").decode("ascii")


def cursor_of(text: str) -> Cursor:
    """Raises BrokenCursorError."""
    if not 1 < len(text) <= MAX_CURSOR or not text.isascii() or text[0] != _VERSION:
        raise BrokenCursorError("it is no cursor of this service")
    try:
        raw = base64.b64decode(text[1:] + "=" * (-(len(text) - 1) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise BrokenCursorError("it is no cursor of this service") from None
    packed, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
    if crc32(packed).to_bytes(_CHECK_BYTES) != check:
        raise BrokenCursorError("a part of it is missing or wrong")
    try:
        return _unpacked(packed)
    except (IndexError, UnicodeDecodeError, StopIteration):
        raise BrokenCursorError("it is no cursor of this service") from None


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
