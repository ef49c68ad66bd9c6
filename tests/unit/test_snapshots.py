"""How a stored body is shown to people and in answers."""

import json

import pytest

from schemas.snapshots import readable


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"code": "A"}', {"code": "A"}),
        (b"[1, 1.5, null]", [1, 1.5, None]),
        (b"{", "{"),
        (b"", ""),
        (b'{"n": NaN}', '{"n": NaN}'),
        (rb'{"code": "\ud800"}', r'{"code": "\ud800"}'),
        (b'"\xff"', r'"\xff"'),
        (b"[" * 10_000, "[" * 10_000),
    ],
)
def test_readable(body: bytes, shown: object) -> None:
    """JSON as JSON, if all who read it can write it again; else the text as it came."""
    assert readable(body) == shown
    json.dumps(readable(body), ensure_ascii=False, allow_nan=False).encode()
