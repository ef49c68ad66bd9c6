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


def sign(body: bytes, secret: bytes) -> bytes:
    """The signature of ``body`` as it stands, as it is sent in the header."""
    return hexlify(hmac.digest(secret, body, "sha256"))


def verify(body: bytes, signature: bytes | None, secrets: Sequence[bytes]) -> bool:
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
    if _matches(body, signature, secrets):
        return True
    stripped = strip_whitespace(body)
    return stripped != body and _matches(stripped, signature, secrets)


def _matches(body: bytes, signature: bytes, secrets: Sequence[bytes]) -> bool:
    for secret in secrets:  # noqa: SIM110 - any() of a generator costs each delivery a tenth of its signature
        if hmac.compare_digest(sign(body, secret), signature):
            return True
    return False
