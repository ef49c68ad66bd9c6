"""For each route of the API: a request for what belongs to one project, made by another project's caller.

A new route needs its case here: ``tests/test_house.py`` fails without.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

FORM: Final = "application/x-www-form-urlencoded"

PUBLIC: Final = {
    "/health/live",
    "/health/ready",
    "/health/ready/{role}",
    "/metrics",
    "/openapi.json",
    "/asyncapi.json",
    "/schemas",
    "/schemas/{file}",
    "/docs",
    "/docs/style.css",
}
"""Routes that ask for no credentials, and hold nothing of any project's bin."""


@dataclass(frozen=True)
class Case:
    """A request for what is project alpha's.

    In ``path`` and ``body`` stand fields in braces: ``entry_id``, ``resource_id``, ``code``, ``campaign_id``,
    ``event_id`` are those of alpha's voucher.
    """

    path: str
    body: str = ""
    content_type: str = "application/json"
    beta: int = 200
    """What beta's caller is answered. The answer never holds anything of alpha's but what was asked with."""
    alpha: int = 200
    """What alpha's caller is answered."""
    shows: bool = True
    """Whether alpha's caller is shown more of alpha's than was asked with: then the case proves something."""
    headers: Mapping[str, str] = field(default_factory=dict)
    until: str = ""
    """An answer that does not end is read until this is in it; a stream sends a heartbeat every 0.1 s."""


CASES: Final[Mapping[tuple[str, str], Case]] = {
    ("GET", "/v1/trash-bin"): Case("/v1/trash-bin?limit=100"),
    ("GET", "/mirror/v1/changes"): Case("/mirror/v1/changes?limit=100"),
    ("GET", "/mirror/v1/changes/stream"): Case("/mirror/v1/changes/stream", until=": heartbeat"),
    ("GET", "/mirror/v1/vouchers/{code}"): Case("/mirror/v1/vouchers/{code}"),
    ("POST", "/mirror/v1/lookups"): Case("/mirror/v1/lookups", body='{"lookups": [{"code": "{code}"}]}'),
    ("GET", "/mirror/v1/entries/{entry_id}"): Case("/mirror/v1/entries/{entry_id}", beta=404),
    ("GET", "/mirror/v1/events"): Case("/mirror/v1/events?resource_id={resource_id}"),
    ("GET", "/mirror/v1/events/{event_id}"): Case("/mirror/v1/events/{event_id}", beta=404),
    ("GET", "/mirror/v1/stats"): Case("/mirror/v1/stats", shows=False),
    ("DELETE", "/v1/trash-bin/{entry_id}"): Case(
        "/v1/trash-bin/{entry_id}", beta=404, alpha=204, shows=False
    ),
    ("GET", "/health"): Case("/health", shows=False),
    ("POST", "/v1/oauth/token"): Case(
        "/v1/oauth/token", body="grant_type=client_credentials", content_type=FORM, shows=False
    ),
}
"""By method and the route's path as it is declared. Those that change something come last."""
