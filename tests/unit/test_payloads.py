"""Payloads as stored."""

import hashlib
from importlib import resources
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from consumer.projection.payloads import MAX_BYTES, CorruptPayloadError, PayloadCodec
from schemas.samples import voucher_deleted

WEBHOOKS = Path(__file__).parent.parent / "data" / "voucherify" / "webhooks"


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=20).map(lambda part: part * 500)))
def test_what_goes_in_comes_out(body: bytes) -> None:
    """Any bytes at all are given back as they were, and never take more than one byte more."""
    codec = PayloadCodec()
    packed = codec.pack(body)
    assert codec.unpack(packed) == body
    assert PayloadCodec().pack(body) == packed
    assert len(packed) <= len(body) + 1


@given(st.lists(st.one_of(st.binary(max_size=100), st.binary(max_size=20).map(lambda part: part * 50))))
def test_many_at_once(bodies: list[bytes]) -> None:
    """Many bodies packed at once are what each is alone."""
    codec = PayloadCodec()
    assert codec.pack_all(bodies) == [codec.pack(body) for body in bodies]


def test_a_delivery_shrinks_to_a_quarter() -> None:
    """A delivery with ids and times of its own takes a quarter of its size, or less."""
    body = voucher_deleted()
    assert len(PayloadCodec().pack(body)) < len(body) / 4


@pytest.mark.parametrize("sample", sorted(WEBHOOKS.iterdir()), ids=lambda path: path.name)
def test_samples_come_back(sample: Path) -> None:
    """Every sample body survives, byte for byte."""
    codec = PayloadCodec()
    assert codec.unpack(codec.pack(sample.read_bytes())) == sample.read_bytes()


def test_the_first_byte_names_the_format() -> None:
    """0 is followed by the body, 1 by a zstd frame with the shipped dictionary."""
    codec = PayloadCodec()
    assert codec.pack(b"{}") == b"\0{}"
    assert codec.pack(b"{}" * 100)[:5] == b"\1" + zstandard.FRAME_HEADER


def test_the_dictionary_does_not_change() -> None:
    """Stored payloads of format 1 can be read with this very dictionary only."""
    content = resources.files("consumer.projection").joinpath("payload.dict").read_bytes()
    digest = "b2a5da22187c404c417ac40aad40ad1fd42ba991eb672229a823059c055399b5"
    assert hashlib.sha256(content).hexdigest() == digest


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x02new format",
        b"\x01",
        b"\x01not a frame",
        b"\x01" + zstandard.ZstdCompressor().compress(b"x" * 1000)[:-4],
        b"\x01" + zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 1000),
    ],
)
def test_damage_is_an_error_of_its_own(damaged: bytes) -> None:
    """What cannot be read says so, whatever it is."""
    with pytest.raises(CorruptPayloadError):
        PayloadCodec().unpack(damaged)


def test_reading_is_bounded() -> None:
    """A frame that claims to be huge is not unpacked."""
    compressor = zstandard.ZstdCompressor().compressobj(size=MAX_BYTES + 1)
    claims = compressor.compress(b"x" * 100) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    with pytest.raises(CorruptPayloadError, match="claims to hold"):
        PayloadCodec().unpack(b"\x01" + claims)
