"""The contract of lookups: what is known of codes and of resources, many at a time."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from handlers.changes import Entry
from handlers.verdicts import Bearer


class CodeAsk(NamedTuple):
    """A voucher's code."""

    code: str
    case_sensitive: bool = True
    """False: A to Z in the code equal a to z."""
    campaign_id: str | None = None
    """The campaign that it belongs to, if whoever asks knows it."""


class ResourceAsk(NamedTuple):
    """A resource by its id."""

    resource_type: str
    resource_id: str
    campaign_id: str | None = None
    """A voucher's, as above."""


class Known(NamedTuple):
    """What is known of one ask: all that ``handlers.verdicts.decide`` needs."""

    bearers: Sequence[Bearer]
    """Newest first. Of a resource that is asked for by its id: itself, or none."""
    campaigns: Mapping[str, Entry]
    """By id: at least those that this ask is about."""


class LookupReader(Protocol):
    """Safe for concurrent use."""

    async def look_up(self, project: str, asks: Sequence[CodeAsk | ResourceAsk]) -> Sequence[Known]:
        """One answer for each ask, in their order. Texts that no database stores are known to nobody.

        What is asked at the same moment, by whomever, shares its queries.

        Raises ProjectionUnavailableError, SchemaMismatchError.
        """
