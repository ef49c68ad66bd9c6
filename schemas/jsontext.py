"""JSON as text: what can be done to a body without parsing it."""

import re
from typing import Final

_KEPT: Final = re.compile(
    rb"""(?: [^\x20\t\n\r"]++                         # anything outside strings but white space
           | "[^"\\]*+ (?: \\. [^"\\]*+ )*+ "?        # a string, perhaps cut off
         )++""",
    re.VERBOSE | re.DOTALL,
)


def strip_whitespace(body: bytes) -> bytes:
    """``body`` without insignificant white space, that is outside JSON strings; nothing else is touched.

    Total and linear: text that is no JSON is treated the same way, an unfinished string as a string.
    """
    return b"".join(_KEPT.findall(body))
