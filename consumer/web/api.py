"""What the role ``api`` answers: the parts that it asks, and its routes."""

from dataclasses import dataclass
from typing import Final

from starlette.routing import Route

from consumer.ops.purge import Purge
from consumer.projection.base import ProjectionReader
from consumer.web.auth import Credentials
from consumer.web.deletion import Deletion
from consumer.web.trash_bin import TrashBin

_ENTRY: Final = "/v1/trash-bin/{entry_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Whom the API asks. Whoever makes them starts and stops them."""

    reader: ProjectionReader
    purge: Purge | None = None
    """Deletes entries for good; None mounts no such endpoint."""


def api_routes(api: Api, credentials: Credentials) -> list[Route]:
    """The routes that need credentials."""
    routes = [Route("/v1/trash-bin", TrashBin(api.reader, credentials).list_entries, methods=["GET"])]
    if api.purge is not None:
        routes.append(Route(_ENTRY, Deletion(api.purge, credentials).delete_entry, methods=["DELETE"]))
    return routes
