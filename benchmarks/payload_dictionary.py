"""Makes the dictionary that payloads are compressed with, and shows what it saves.

    python -m benchmarks.payload_dictionary            measure the dictionary of the package
    python -m benchmarks.payload_dictionary --write    make it anew from the sample bodies

The dictionary is part of the format of stored payloads: making it anew is for the time before a release
that wrote any. It is the sample bodies in compact form, the commonest last, because zstd reaches the end of
a dictionary most cheaply.
"""

import argparse
import json
import time
from pathlib import Path

from consumer.projection.payloads import PayloadCodec

_ROOT = Path(__file__).parent.parent
_SAMPLES = _ROOT / "tests" / "data" / "voucherify" / "webhooks"
_DICTIONARY = _ROOT / "consumer" / "projection" / "payload.dict"
_COMMONEST_LAST = (
    "redemption.succeeded.json",
    "campaign.promotion_tier.deleted.json",
    "voucher.created.json",
    "campaign.deleted.json",
    "voucher.deleted.data_only.json",
    "voucher.deleted.json",
)


def samples() -> dict[str, bytes]:
    """The sample bodies in compact form, as they come over the wire."""
    return {
        name: json.dumps(json.loads((_SAMPLES / name).read_bytes()), separators=(",", ":")).encode()
        for name in _COMMONEST_LAST
    }


def fresh(body: bytes) -> bytes:
    """``body`` with other ids, numbers and times, as they vary from event to event."""
    digits = bytes.maketrans(b"0123456789abcdef", b"5947086213cafebd")
    parts = body.split(b'"')
    varied = [part.translate(digits) if any(c in b"0123456789" for c in part) else part for part in parts]
    return b'"'.join(varied)


def main() -> None:
    parser = argparse.ArgumentParser(description="Dictionary of stored payloads")
    parser.add_argument("--write", action="store_true", help="make the dictionary anew")
    if parser.parse_args().write:
        _DICTIONARY.write_bytes(b"".join(samples().values()))
    codec = PayloadCodec()
    print(f"{'body':40}{'bytes':>8}{'stored':>8}{'fresh ids':>11}{'µs':>8}")
    for name, body in samples().items():
        other = fresh(body)
        started = time.perf_counter()
        for _ in range(1000):
            codec.pack(other)
        micros = (time.perf_counter() - started) * 1000
        print(f"{name:40}{len(body):8}{len(codec.pack(body)):8}{len(codec.pack(other)):11}{micros:8.1f}")


if __name__ == "__main__":
    main()
