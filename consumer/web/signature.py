"""Voucherify's webhook signature: lowercase hex HMAC-SHA256 of the body, keyed with the project's secret.

What is signed is the body without insignificant white space. The bytes as received are tried first,
because that is what arrives; then the same bytes with white space outside JSON strings removed. The
body is never parsed and written again: that would reorder keys and change numbers.
"""

import hmac
from binascii import hexlify
from collections.abc import Sequence
from typing import Final

from schemas.jsontext import strip_whitespace

HEADER: Final = b"x-voucherify-signature"
_HEX_DIGITS: Final = 64


def key_of(secret: bytes) -> hmac.HMAC:
    """The secret, made ready once for any number of bodies."""
    return hmac.new(secret, digestmod="sha256")


def sign(body: bytes, secret: bytes) -> bytes:
    """The signature of ``body`` as it stands, as it is sent in the header."""
    return _signature(body, key_of(secret))


def verify(body: bytes, signature: bytes | None, keys: Sequence[hmac.HMAC]) -> bool:
    """Whether one of the live secrets made ``signature`` for ``body``; constant in time per secret.

    Bytes, not text: a header may hold anything, and ``compare_digest`` raises on non-ASCII text.
    """
    if signature is None:
        return False
    if len(signature) != _HEX_DIGITS:
        # White space around a header's value is no part of it; the HTTP parser leaves it behind the value.
        signature = signature.strip(b" \t")
        if len(signature) != _HEX_DIGITS:
            return False
    if _matches(body, signature, keys):
        return True
    stripped = strip_whitespace(body)
    return stripped != body and _matches(stripped, signature, keys)


def _matches(body: bytes, signature: bytes, keys: Sequence[hmac.HMAC]) -> bool:
    for key in keys:  # noqa: SIM110 - any() of a generator costs each delivery a tenth of its signature
        if hmac.compare_digest(_signature(body, key), signature):
            return True
    return False


def _signature(body: bytes, key: hmac.HMAC) -> bytes:
    code = key.copy()
    code.update(body)
    return hexlify(code.digest())
