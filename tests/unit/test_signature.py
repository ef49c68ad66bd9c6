"""The webhook's signature."""

import json
from pathlib import Path
from typing import Final

import pytest

from consumer.web.signature import key_of, sign, verify

DATA: Final = Path(__file__).parent.parent / "data" / "voucherify"
VECTORS: Final = json.loads((DATA / "signature_vectors.json").read_text())
SECRET: Final = b"whsec-\xc3\xa9"
KEYS: Final = [key_of(SECRET)]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["body"]))
def test_published_vectors(vector: dict[str, str]) -> None:
    """Voucherify's published signatures verify."""
    body, secret = vector["body"].encode(), vector["key"].encode()
    assert sign(body, secret) == vector["hex"].encode()
    assert verify(body, vector["hex"].encode(), [key_of(secret)])


@pytest.mark.parametrize("sample", sorted((DATA / "webhooks").iterdir()), ids=lambda path: path.name)
def test_indented_body_with_the_signature_of_the_compact_one(sample: Path) -> None:
    """A body that gained white space on its way verifies: what is signed has none."""
    indented = sample.read_bytes()
    compact = json.dumps(json.loads(indented), separators=(",", ":"), ensure_ascii=False).encode()
    assert compact != indented
    assert verify(indented, sign(compact, SECRET), KEYS)
    assert verify(compact, sign(compact, SECRET), KEYS)


def test_body_signed_with_its_white_space() -> None:
    """The bytes as received verify as they are, white space and all."""
    body = b' {"a" : "b c"}\n'
    assert verify(body, sign(body, SECRET), KEYS)


def test_order_numbers_and_escapes_are_kept() -> None:
    """Nothing but white space is touched: a re-serialised body would not verify."""
    signed = b'{"b":1.0,"a":1e3,"\\u0041":"\\/ x"}'
    received = b'{ "b": 1.0,\r\n\t"a": 1e3, "\\u0041": "\\/ x" }'
    assert verify(received, sign(signed, SECRET), KEYS)
    assert not verify(received, sign(b'{"A":"/ x","a":1000,"b":1}', SECRET), KEYS)


def test_white_space_inside_strings_counts() -> None:
    """White space inside a string is content: changing it breaks the signature."""
    assert not verify(b'{"a":"b c"}', sign(b'{"a":"bc"}', SECRET), KEYS)


@pytest.mark.parametrize("body", [b'{"a":1}', b'{"a": 1}'])
def test_every_live_secret_is_tried(body: bytes) -> None:
    """While secrets rotate, each of them verifies, and only these."""
    signature = sign(b'{"a":1}', b"old")
    assert verify(body, signature, [key_of(b"new"), key_of(b"old")])
    assert not verify(body, signature, [key_of(b"new"), key_of(b"newer")])
    assert not verify(body, signature, [])


@pytest.mark.parametrize(
    "signature",
    [
        None,
        b"",
        b"0",
        b"\xff" * 64,
        b"\x00" * 64,
        "é".encode() * 32,
        b"z" * 64,
        b"0" * 63,
        b"0" * 65,
        b"0" * 100_000,
        sign(b"{}", b"other secret"),
        sign(b"{}", SECRET).upper(),
        sign(b"{}", SECRET)[:-1] + b" ",
        b"sha256=" + sign(b"{}", SECRET),
    ],
)
def test_absurd_signatures(signature: bytes | None) -> None:
    """Whatever stands in the header, it is wrong unless it is the signature; it never raises."""
    assert not verify(b"{}", signature, KEYS)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b'"', b"{", b"\x00", b"[" * 10_000])
def test_absurd_bodies(body: bytes) -> None:
    """A body need not be JSON, nor text, to be verified."""
    assert verify(body, sign(body, SECRET), KEYS)
    assert not verify(body, b"0" * 64, KEYS)


def test_white_space_around_the_header() -> None:
    """White space around the header's value is no part of it; inside, it is."""
    signature = sign(b"{}", SECRET)
    assert verify(b"{}", b" \t" + signature + b"\t ", KEYS)
    assert not verify(b"{}", signature[:32] + b" " + signature[32:], KEYS)
