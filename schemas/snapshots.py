"""What a stored body says, for people: the voucher and the campaign as they were, or the body as it came."""

from typing import Any, NamedTuple

from pydantic_core import from_json


class SnapshotData(NamedTuple):
    """Of a deletion: the last that anybody will see of it. None where the body has no such object."""

    voucher: dict[str, Any] | None
    campaign: dict[str, Any] | None

    @property
    def redemption(self) -> dict[str, Any] | None:
        """The voucher's counts: ``quantity``, ``redeemed_quantity``, …"""
        return _object(self.voucher, "redemption")

    @property
    def metadata(self) -> dict[str, Any] | None:
        """The voucher's, else the campaign's."""
        thing = self.campaign if self.voucher is None else self.voucher
        return _object(thing, "metadata")


def read_snapshot(body: bytes, event_type: str) -> SnapshotData:
    """The snapshot in a body of any of the three forms."""
    document = readable(body)
    if not isinstance(document, dict):
        return SnapshotData(None, None)
    data = document if _object(document, "data") is None else document["data"]
    thing = _object(data, "object")
    if thing is not None:
        of_voucher = event_type.startswith("voucher.")
        return SnapshotData(thing, None) if of_voucher else SnapshotData(None, thing)
    return SnapshotData(_object(data, "voucher"), _object(data, "campaign"))


def readable(body: bytes) -> Any:  # noqa: ANN401 - whatever JSON holds
    """The body as JSON where it is JSON that can be written again, else its text.

    Text it stays with NaN or half a surrogate pair in it: neither has a place in JSON that others can read.
    """
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        return body.decode("utf-8", "backslashreplace")


def _object(thing: object, name: str) -> dict[str, Any] | None:
    found = thing.get(name) if isinstance(thing, dict) else None
    return found if isinstance(found, dict) else None
