"""Values of query parameters as text: what can be compared, and lists that came as text."""

import re
from typing import Final

from schemas.text import is_storable

UNSET: Final = "None"
"""What Python's official client sends for a parameter that its caller left out."""

_QUOTED: Final = r"""(?:'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")"""
_LIST: Final = re.compile(rf"\[\s*+{_QUOTED}(?:\s*+,\s*+{_QUOTED})*+\s*+\]", re.DOTALL)
_ITEM: Final = re.compile(_QUOTED, re.DOTALL)
_ESCAPE: Final = re.compile(
    r"\\(?:(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U(000[0-9a-f]{5}|0010[0-9a-f]{4}))|(.))", re.DOTALL
)
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t"}
_MAX_SHOWN: Final = 100


def python_list(text: str) -> list[str] | None:
    """The texts in ``repr`` of a Python list of them; None if ``text`` is none, or an empty one."""
    if not text.startswith("[") or not _LIST.fullmatch(text):
        return None
    return [_ESCAPE.sub(_unescaped, item[1:-1]) for item in _ITEM.findall(text)]


def _unescaped(match: re.Match[str]) -> str:
    number = match[1] or match[2] or match[3]
    if number is not None:
        return chr(int(number, 16))
    return _CONTROLS.get(match[4], match[4])


def shown(name: str) -> str:
    """A parameter's name as an error may show it."""
    return name[:_MAX_SHOWN].encode("utf-8", "replace").decode()


def fault_of(value: str) -> str | None:
    """Why nothing can equal ``value``, in words that follow the parameter's name."""
    return None if is_storable(value) else "holds NUL or half a surrogate pair, or is too long"
