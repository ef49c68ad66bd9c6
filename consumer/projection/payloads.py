"""Payloads as stored: compressed with a dictionary of typical bodies, behind one byte that names the format.

The dictionary ships with the package. It never changes: another one would be another format.
``benchmarks/payload_dictionary.py`` made it and measures what it saves.
"""

from collections.abc import Sequence
from importlib import resources
from threading import local
from typing import Any, Final

import zstandard

MAX_BYTES: Final = 256 * 1024 * 1024
"""No payload is larger; a stored one that claims to be is not read."""

_RAW: Final = 0
_ZSTD_1: Final = 1
"""A zstd frame that holds its content's size, with ``payload.dict`` as raw-content dictionary."""
_TINY: Final = 48
_LEVEL: Final = 3


class CorruptPayloadError(ValueError):
    """A stored payload is of no format known here, damaged, or absurdly large."""


class PayloadCodec:
    """Packs and unpacks. Not safe for use by several threads at once: give each its own."""

    def __init__(self) -> None:
        content = resources.files("consumer.projection").joinpath("payload.dict").read_bytes()
        dictionary = zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        dictionary.precompute_compress(level=_LEVEL)
        compressor = zstandard.ZstdCompressor(dict_data=dictionary, level=_LEVEL)
        self._compress = compressor.compress
        self._compress_all = compressor.multi_compress_to_buffer
        self._decompress = zstandard.ZstdDecompressor(dict_data=dictionary).decompress

    def pack(self, body: bytes) -> bytes:
        """``body`` as it is stored; equal bodies give equal bytes."""
        return _smaller(body, self._compress(body)) if len(body) > _TINY else _raw(body)

    def pack_all(self, bodies: Sequence[bytes]) -> list[bytes]:
        """As ``pack`` each; other threads have the interpreter meanwhile."""
        large: list[Any] = [body for body in bodies if len(body) > _TINY]
        packed: Any = self._compress_all(large) if large else []
        found = iter([packed[index].tobytes() for index in range(len(packed))])
        return [_smaller(body, next(found)) if len(body) > _TINY else _raw(body) for body in bodies]

    def unpack(self, stored: bytes) -> bytes:
        """The body that ``pack`` was given.

        Raises:
            CorruptPayloadError

        """
        tag = stored[0] if stored else None
        if tag == _RAW:
            return stored[1:]
        if tag != _ZSTD_1:
            raise CorruptPayloadError(
                f"a stored payload is of an unknown format ({tag}): a newer version wrote it"
            )
        frame = memoryview(stored)[1:]
        try:
            size = zstandard.frame_content_size(frame)
            if not 0 <= size <= MAX_BYTES:
                raise CorruptPayloadError(f"a stored payload claims to hold {size} bytes")
            return self._decompress(frame)
        except zstandard.ZstdError as error:
            raise CorruptPayloadError(f"a stored payload is damaged: {error}") from error


class CodecOfThread(local):
    """Gives each thread that asks a codec of its own."""

    def __init__(self) -> None:
        self.codec = PayloadCodec()


def _smaller(body: bytes, packed: bytes) -> bytes:
    return b"\x01" + packed if len(packed) < len(body) else _raw(body)


def _raw(body: bytes) -> bytes:
    return b"\x00" + body
