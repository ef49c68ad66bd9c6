"""``GET /v1/trash-bin``: the bin as Voucherify's API lists it."""

from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from consumer.projection.base import ProjectionReader
from consumer.types import READ_PERMISSIONS
from consumer.web.auth import Credentials
from consumer.web.errors import ProblemError
from schemas.errors import InvalidQuery, invalid_query_params
from schemas.trash_bin import parse_bin_query, render_page

_MAX_QUERY_BYTES: Final = 32 * 1024
_MAX_PARAMETERS: Final = 1000


class TrashBin:
    """The listing's endpoint."""

    def __init__(self, reader: ProjectionReader, credentials: Credentials) -> None:
        self._reader = reader
        self._credentials = credentials

    async def list_entries(self, request: Request) -> Response:
        caller = await self._credentials.authenticate(request.headers)
        caller.require(*READ_PERMISSIONS)
        try:
            query = parse_bin_query(_pairs(request.scope["query_string"]))
        except InvalidQuery as error:
            raise ProblemError(invalid_query_params(error.details)) from None
        page = await self._reader.list_bin(caller.project.name, query)
        return Response(render_page(page.entries, has_more=page.has_more), media_type="application/json")


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    if len(query_string) > _MAX_QUERY_BYTES:
        raise InvalidQuery(details=f"The query is longer than {_MAX_QUERY_BYTES} bytes")
    if query_string.count(b"&") >= _MAX_PARAMETERS:
        raise InvalidQuery(details=f"The query has more than {_MAX_PARAMETERS} parameters")
    try:
        return parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise InvalidQuery(details="The query is not percent-encoded UTF-8") from None
