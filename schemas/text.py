"""Bounds of text: what every database stores and every index holds."""

import sys
from string import ascii_lowercase, ascii_uppercase
from typing import Annotated, Final, TypeAlias

from msgspec import Meta
from pydantic import StringConstraints

MAX_TEXT: Final = 512
"""Characters in an id, code, name or event type, at most: 2,048 bytes as UTF-8, so that a row of a
PostgreSQL index (2,704 bytes) holds one beside project, type and time. Voucherify's own ids have about 40."""

Text: TypeAlias = Annotated[
    str, StringConstraints(max_length=MAX_TEXT, pattern=r"^[^\x00]*$"), Meta(max_length=MAX_TEXT)
]
"""Storable text: PostgreSQL refuses NUL. (Lone surrogates are no text for pydantic to begin with.)

``Meta`` says the same to msgspec, as far as it is quick to check there; ``schemas.envelope`` sees to NUL.
"""


def is_storable(text: str) -> bool:
    """Whether ``text`` is within the bounds and neither holds NUL nor a lone surrogate."""
    if len(text) > MAX_TEXT or "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


def folded(text: str) -> str:
    """``text`` with A to Z in lower case: what ``lower()`` does in SQLite, and in PostgreSQL by code point.

    Other letters stay as they are: databases and Unicode versions do not agree about them.
    """
    return text.lower() if text.isascii() else text.translate(_LOWER)


_BEFORE_SURROGATES: Final = 0xD7FF
_BEHIND_SURROGATES: Final = 0xE000
"""Surrogates are no characters: this one follows the other."""


def next_text(text: str) -> str | None:
    """The least text, by code point, behind all those that start with ``text``; None: there is none."""
    for index in range(len(text) - 1, -1, -1):
        point = ord(text[index])
        if point < sys.maxunicode:
            return text[:index] + chr(_BEHIND_SURROGATES if point == _BEFORE_SURROGATES else point + 1)
    return None
