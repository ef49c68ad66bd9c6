"""``GET /v1/trash-bin``: the bin as Voucherify's API lists it."""

from collections.abc import Iterator
from typing import Any, Final, get_args
from urllib.parse import parse_qsl, unquote_plus

from starlette.requests import Request
from starlette.responses import Response

from consumer.projection.base import ProjectionReader
from consumer.types import READ_PERMISSIONS
from consumer.web.auth import Authenticator
from consumer.web.contract.describe import (
    READ_ERRORS,
    Answer,
    Content,
    ErrorAnswer,
    Operation,
    Parameter,
)
from consumer.web.errors import ProblemError
from consumer.web.freshness import FRESH_ERRORS, FRESH_HEADERS, FRESH_PARAMETERS
from schemas.answers import TrashBinPage
from schemas.errors import InvalidQuery, invalid_query_params, missing_permission
from schemas.query_text import shown
from schemas.text import MAX_TEXT
from schemas.trash_bin import (
    LISTS,
    MAX_LIMIT,
    MAX_VALUES,
    NOT_ON_TYPE,
    VALUELESS,
    BinQuery,
    FilterKey,
    Junction,
    Operator,
    Order,
    parse_bin_query,
    render_page,
)

_MAX_QUERY_BYTES: Final = 64 * 1024
_MAX_PARAMETERS: Final = 4000
"""More than filters of that length can have; taking them apart holds everybody up for a few milliseconds."""


class TrashBin:
    """The listing's endpoint."""

    def __init__(self, reader: ProjectionReader, credentials: Authenticator) -> None:
        self._reader = reader
        self._credentials = credentials

    async def list_entries(self, request: Request) -> Response:
        caller = await self._credentials.authenticate(request.headers, scope="trash-bin")
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
        raise InvalidQuery(details=f"Property .{_undecodable(query_string)} is not UTF-8") from None


def _undecodable(query_string: bytes) -> str:
    """The first parameter that is no percent-encoded UTF-8, as far as it can be shown."""
    for part in query_string.split(b"&"):
        try:
            parse_qsl(part.decode("ascii"), keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            return shown(unquote_plus(part.partition(b"=")[0].decode("ascii", "replace")))
    return ""


_TEXT: Final = {"type": "string", "maxLength": MAX_TEXT, "pattern": r"^[^\x00]*$"}
_VALUE: Final = {**_TEXT, "minLength": 1}
_MEANINGS: Final[dict[Operator, str]] = {
    "$in": "equals one of these",
    "$not_in": "equals none of these",
    "$is": "is this",
    "$is_not": "is not this",
    "$has_value": "is not empty; takes no value",
    "$is_unknown": "is empty, which it never is here; takes no value",
    "$starts_with": "starts with this",
    "$ends_with": "ends with this",
    "$contains": "contains this",
    "$not_contain": "does not contain this",
}


def _filters() -> Iterator[Parameter]:
    yield Parameter(
        name="filters[junction]",
        place="query",
        text="How the keys are joined; conditions on one key are always joined by `and`.",
        schema={"enum": list(get_args(Junction)), "default": "and"},
    )
    for key in get_args(FilterKey):
        for operator, meaning in _MEANINGS.items():
            if key == "resource_type" and operator in NOT_ON_TYPE:
                continue
            schema: dict[str, Any] = _VALUE
            if operator in VALUELESS:
                schema = {"const": ""}
            elif operator in LISTS:
                schema = {"type": "array", "items": _VALUE, "minItems": 1, "maxItems": MAX_VALUES}
            name = f"filters[{key}][conditions][{operator}]"
            yield Parameter(name=name, place="query", text=f"`{key}` {meaning}.", schema=schema)


LIST_BIN: Final = Operation(
    name="list_bin_entries",
    tag="bin",
    summary="List the bin",
    text=(
        "The entries that are in the bin now, by id. A listing pages with `starting_after_id`: entries "
        "that are there throughout appear exactly once. Lists may be repeated parameters, have an index "
        "or `[]` behind the operator, or be the text of a Python list. Text compares by code point, "
        f"case-sensitively; `%` and `_` mean themselves. All conditions together take {MAX_VALUES} "
        f"values. Needs the permissions {', '.join(READ_PERMISSIONS)}."
    ),
    parameters=(
        Parameter(
            name="limit",
            place="query",
            text="How many entries a page has at most.",
            schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": BinQuery().limit},
            example=25,
        ),
        Parameter(
            name="order",
            place="query",
            text="`-id`: newest first.",
            schema={"enum": list(get_args(Order)), "default": BinQuery().order},
        ),
        Parameter(
            name="starting_after_id",
            place="query",
            text="Only entries behind this id: a position, which need not be an entry's.",
            schema=_TEXT,
        ),
        *_filters(),
        *FRESH_PARAMETERS,
    ),
    answers={
        200: Answer(
            text="A page.",
            headers=FRESH_HEADERS,
            content=[
                Content(
                    shape=TrashBinPage,
                    example={
                        "object": "list",
                        "data_ref": "data",
                        "data": [
                            {
                                "id": "tbe_0eb6515f758ae37126",
                                "created_at": "2024-05-07T09:15:13.218Z",
                                "deleted_by_user_id": "user_JjB45t4Rpl4t1n0oMRlj6trzXKsh7FGX7",
                                "resource_id": "v_JPfnb5ChY1HdNnaMkA0ikra4gIg0dja6",
                                "resource_type": "voucher",
                                "resource_name": "Trash-Discount-123",
                                "resource_parent_id": "camp_ITQtKkrPOxL1a55uSU7tqbCL",
                                "object": "voucher",
                            }
                        ],
                        "total": 1,
                        "has_more": True,
                        "more_starting_after": "tbe_0eb6515f758ae37126",
                    },
                )
            ],
        )
    },
    errors=(
        *READ_ERRORS,
        *FRESH_ERRORS,
        ErrorAnswer(body=missing_permission()),
        ErrorAnswer(
            body=invalid_query_params(f"Property .limit should be a whole number from 1 to {MAX_LIMIT}")
        ),
    ),
)
