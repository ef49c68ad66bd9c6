"""JSON as text: what can be done to a body without parsing it."""

from collections.abc import Iterator
from typing import Final

_WHITE: Final = b" \t\n\r"
_SLICE: Final = 8192


def strip_whitespace(body: bytes) -> bytes:
    """``body`` without insignificant white space, that is outside JSON strings; nothing else is touched.

    Total and linear: text that is no JSON is treated the same way, an unfinished string as a string.
    Anybody may send a body, so the worst one counts: it is cut at its quotes, a slice at a time, by
    what runs in C: a regular expression is several times slower on one that is made of short tokens alone.
    """
    if not any(white in body for white in (b" ", b"\n", b"\r", b"\t")):
        return body
    if b"\\" not in body:
        return b"".join(_slices(body))
    # Escapes aside, each quote begins or ends a string.
    absent = (byte for byte in map(_byte, range(255, -1, -1)) if byte not in body)
    backslash, quote = next(absent, None), next(absent, None)
    if backslash is None or quote is None:
        return body  # no text in any encoding uses all 256 bytes
    text = body.replace(rb"\\", backslash).replace(rb"\"", quote)
    text = b"".join(_slices(text))
    return text.replace(quote, rb"\"").replace(backslash, rb"\\")


def _slices(text: bytes) -> Iterator[bytes]:
    """``text``, which has no escaped quotes, without white space between its strings."""
    inside = 0  # 1 where a slice begins in a string
    for start in range(0, len(text), _SLICE):
        parts = text[start : start + _SLICE].split(b'"')
        between = slice(inside, None, 2)
        if len(parts) > inside:
            parts[between] = b'"'.join(parts[between]).translate(None, _WHITE).split(b'"')
        inside ^= (len(parts) - 1) & 1
        yield b'"'.join(parts)


def _byte(number: int) -> bytes:
    return bytes((number,))
