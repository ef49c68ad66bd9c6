"""How records lie in SQLite: headers as one blob, and many rows as two parameters."""

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec

from schemas.records import Headers

# A headers blob: number of headers and length of the names' section (two uint16), that section, the
# values' lengths (uint32 each), the values. Nearly all records bear the same names, so that packing
# and unpacking their section is done once and found in a small cache afterwards.
_HEAD = struct.Struct("<HH")
_NAME = struct.Struct("<H")


def pack_headers(headers: Headers) -> bytes:
    """``headers`` as one blob, order and duplicates kept.

    Raises:
        ValueError: a name is no text that UTF-8 can hold, or they are absurdly many or long.

    """
    if not headers:
        return b""
    names, values = zip(*headers, strict=True)
    try:
        beginning, lengths = _pack_names(names)
        return b"".join((beginning, lengths.pack(*map(len, values)), *values))
    except struct.error as error:
        raise ValueError("the headers are too many or too long") from error


def unpack_headers(blob: bytes) -> Headers:
    """The headers that ``pack_headers`` packed.

    Raises:
        ValueError: the blob was damaged.

    """
    if not blob:
        return ()
    try:
        count, size = _HEAD.unpack_from(blob)
        at = _HEAD.size + size + 4 * count
        names, values = _unpack_beginning(blob[:at])
        if len(blob) != at + values.size:
            raise ValueError("the headers of a stored record are damaged")
        return tuple(zip(names, values.unpack_from(blob, at), strict=True))
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError("the headers of a stored record are damaged") from error


@lru_cache(maxsize=256)
def _pack_names(names: tuple[str, ...]) -> tuple[bytes, struct.Struct]:
    """What comes before the values' lengths, and how these are packed."""
    parts = []
    for name in names:
        encoded = name.encode()
        if len(encoded) > 0xFFFF:  # noqa: PLR2004 - what a uint16 holds
            raise ValueError("a header's name is too long")
        parts += [_NAME.pack(len(encoded)), encoded]
    section = b"".join(parts)
    return _HEAD.pack(len(names), len(section)) + section, struct.Struct(f"<{len(names)}I")


@lru_cache(maxsize=256)
def _unpack_beginning(blob: bytes) -> tuple[tuple[str, ...], struct.Struct]:
    """The names that stand before the values, and how these are unpacked: of ids their lengths recur."""
    count, size = _HEAD.unpack_from(blob)
    end = _HEAD.size + size
    lengths = struct.unpack_from(f"<{count}I", blob, end)
    names = []
    at = _HEAD.size
    while at < end:
        (length,) = _NAME.unpack_from(blob, at)
        at += _NAME.size
        names.append(blob[at : at + length].decode())
        at += length
    if len(names) != count or at != end:
        raise ValueError("the headers of a stored record are damaged")
    return tuple(names), struct.Struct("<" + "".join(f"{length}s" for length in lengths))


def pack_rows(rows: Iterable[tuple[Sequence[object], Sequence[bytes]]]) -> tuple[bytes, str]:
    """Rows of scalars and blobs as one blob and one JSON array, to be taken apart by ``jsonb_each``.

    Each element is the row's scalars followed by start (from 1) and length of each of its blobs.
    One statement with two parameters inserts any number of rows, so that the interpreter's lock
    changes hands once for each transaction instead of once for each row: beside a busy event loop
    that is the difference between thousands of rows a second and hundreds.
    """
    pieces: list[bytes] = []
    spec: list[list[object]] = []
    at = 1
    for scalars, blobs in rows:
        element = [*scalars]
        for blob in blobs:
            length = len(blob)
            element += (at, length)
            at += length
        pieces += blobs
        spec.append(element)
    return b"".join(pieces), msgspec.json.encode(spec).decode()
