import json
from pathlib import Path

import pytest

from schemas.jsontext import strip_whitespace

SAMPLES = sorted(Path("tests/data/voucherify/webhooks").glob("*.json"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_equals_compact_json(path: Path) -> None:
    """A sample without its white space is what a compact serializer writes."""
    body = path.read_bytes()
    compact = json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()
    assert strip_whitespace(body) == compact


@pytest.mark.parametrize(
    ("body", "stripped"),
    [
        (b"", b""),
        (b" \t\r\n", b""),
        (b'{ "a b" : " c\\" d " , "e":[1, 2] }', b'{"a b":" c\\" d ","e":[1,2]}'),
        (rb'{ "a\\" : " b" }', rb'{"a\\":" b"}'),
        (rb'{ "\u0020 \/" : 1e5 }', rb'{"\u0020 \/":1e5}'),
        (b'{ "cut off ', b'{"cut off '),
        (b'{ "cut off \\', b'{"cut off \\'),
        (b"no json at all", b"nojsonatall"),
        (b"\x0b\xc2\xa0 \xff", b"\x0b\xc2\xa0\xff"),
        (b'" \n "', b'" \n "'),
        (rb'{ "\\\" " : " \\" }', rb'{"\\\" ":" \\"}'),
        (b'"\xff \xfe \\" " : "\xfd" ', b'"\xff \xfe \\" ":"\xfd"'),
        (bytes(range(256)), bytes(range(256))),
    ],
)
def test_touches_only_white_space_outside_strings(body: bytes, stripped: bytes) -> None:
    """Strings, escapes, order and what is no JSON stay as they are; only the four white space bytes go."""
    assert strip_whitespace(body) == stripped


@pytest.mark.parametrize("before", range(8188, 8194))
def test_long_bodies_are_stripped_alike(before: int) -> None:
    """Where a slice is cut does not matter: in a string, in an escape, in white space."""
    body = b'{ "' + b"x" * before + b'" : [ "a \\\\" , " \\" b" ] } ' + b'"" ' * 10_000
    compact = b'{"' + b"x" * before + b'":["a \\\\"," \\" b"]}' + b'""' * 10_000
    assert strip_whitespace(body) == compact
