"""What the role ``api`` answers: the parts that it asks, and its routes."""

from dataclasses import dataclass
from typing import Final

from starlette.routing import Route

from consumer.clock import Clock
from consumer.ops.purge import Purge
from consumer.projection.base import ProjectionReader
from consumer.projection.lookups_base import LookupReader
from consumer.projection.mirror_base import MirrorReader
from consumer.web.auth import Authenticator, Credentials
from consumer.web.change_contract import LIST_CHANGES, STREAM_CHANGES
from consumer.web.changes import ChangeRoutes, Following
from consumer.web.contract.describe import DescribedRoute
from consumer.web.deletion import DELETE_ENTRY, Deletion
from consumer.web.freshness import FreshCallers, Freshness
from consumer.web.issued_keys import IssuedKeys
from consumer.web.lean import LeanRoute
from consumer.web.lookup_contract import LOOK_UP_MANY, LOOK_UP_VOUCHER
from consumer.web.lookups import LOOKUPS_PATH, VOUCHER_PATH, Lookups
from consumer.web.mirror import Mirror
from consumer.web.mirror_contract import LIST_EVENTS, SHOW_ENTRY, SHOW_EVENT, SHOW_STATS
from consumer.web.tokens import ISSUE_TOKEN, TokenEndpoint
from consumer.web.trash_bin import LIST_BIN, TrashBin

_ENTRY: Final = "/v1/trash-bin/{entry_id:path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Whom the API asks. Whoever makes them starts and stops them."""

    reader: ProjectionReader
    freshness: Freshness | None = None
    """None: readers cannot say how fresh an answer has to be."""
    following: Following | None = None
    """None mounts no changes."""
    purge: Purge | None = None
    """Deletes entries for good; None mounts no such endpoint."""
    keys: IssuedKeys | None = None
    """Created keys and access tokens; None: the settings' keys alone."""
    lookups: LookupReader | None = None
    """None mounts no lookups."""
    mirror: MirrorReader | None = None
    """None mounts neither entries, events nor numbers."""


def api_routes(api: Api, credentials: Credentials, clock: Clock) -> list[Route]:
    """The routes that need credentials."""
    readers = _readers(api, credentials)
    listing = TrashBin(api.reader, readers)
    routes: list[Route] = [DescribedRoute("GET", "/v1/trash-bin", listing.list_entries, LIST_BIN)]
    if api.following is not None:
        follow = ChangeRoutes(api.following, credentials, readers)
        routes.append(DescribedRoute("GET", "/mirror/v1/changes", follow.page, LIST_CHANGES))
        routes.append(DescribedRoute("GET", "/mirror/v1/changes/stream", follow.stream, STREAM_CHANGES))
    if api.purge is not None:
        deletion = Deletion(api.purge, credentials)
        routes.append(DescribedRoute("DELETE", _ENTRY, deletion.delete_entry, DELETE_ENTRY))
    if api.keys is not None:
        tokens = TokenEndpoint(credentials, api.keys)
        routes.append(DescribedRoute("POST", "/v1/oauth/token", tokens.issue, ISSUE_TOKEN))
    if api.lookups is not None:
        lookups = Lookups(api.lookups, _readers(api, credentials))
        routes.append(DescribedRoute("POST", LOOKUPS_PATH, lookups.lookups, LOOK_UP_MANY))
    if api.mirror is not None:
        routes += _mirror_routes(Mirror(api.reader, api.mirror, readers, clock))
    return routes


def _mirror_routes(mirror: Mirror) -> list[Route]:
    return [
        DescribedRoute("GET", "/mirror/v1/entries/{entry_id:path}", mirror.entry, SHOW_ENTRY),
        DescribedRoute("GET", "/mirror/v1/events", mirror.events, LIST_EVENTS),
        DescribedRoute("GET", "/mirror/v1/events/{event_id:path}", mirror.event, SHOW_EVENT),
        DescribedRoute("GET", "/mirror/v1/stats", mirror.stats, SHOW_STATS),
    ]


def lean_routes(api: Api, credentials: Credentials) -> list[LeanRoute]:
    """Those that are asked thousands of times a second."""
    if api.lookups is None:
        return []
    return [
        LeanRoute(VOUCHER_PATH, Lookups(api.lookups, _readers(api, credentials)).voucher, LOOK_UP_VOUCHER)
    ]


def _readers(api: Api, credentials: Credentials) -> Authenticator:
    """What knows the callers that read: with it they may say how fresh an answer has to be."""
    return credentials if api.freshness is None else FreshCallers(credentials, api.freshness)
