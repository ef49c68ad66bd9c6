"""``GET /mirror/v1/vouchers/{code}`` and ``POST /mirror/v1/lookups``: is it dead?"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from consumer.projection.lookups_base import CodeAsk, Known, LookupReader, ResourceAsk
from consumer.types import READ_PERMISSION_OF, Permission
from consumer.web.auth import Authenticator, Caller
from consumer.web.body import read_whole_body
from consumer.web.errors import ProblemError
from consumer.web.lean import JsonAnswer
from consumer.web.lookup_answers import lookup_json, lookups_json
from consumer.web.parameters import Parameters
from schemas.errors import (
    InvalidPayload,
    invalid_payload,
    invalid_query_params,
    not_found,
)
from schemas.lookups import MAX_BODY, AnyLookup, ResourceLookup, parse_lookups

VOUCHER_PATH: Final = "/mirror/v1/vouchers/{code}"
LOOKUPS_PATH: Final = "/mirror/v1/lookups"

_PREFIX: Final = VOUCHER_PATH.partition("{")[0].encode()
_BODY_SECONDS: Final = 10.0
_KNOWN: Final = ("campaign_id",)


class Lookups:
    """The endpoints."""

    def __init__(self, reader: LookupReader, credentials: Authenticator) -> None:
        self._reader = reader
        self._credentials = credentials

    async def voucher(self, scope: Scope) -> JsonAnswer:
        """One code. Always 200 for a code, whatever it is."""
        caller = await self._credentials.authenticate(Headers(raw=scope["headers"]))
        caller.require("vouchers.read")
        campaign_id = None
        if scope["query_string"]:
            parameters = Parameters(scope["query_string"], _KNOWN)
            campaign_id = parameters.text("campaign_id")
        ask = CodeAsk(_code(scope["raw_path"]), caller.project.case_sensitive_codes, campaign_id)
        (known,) = await self._reader.look_up(caller.project.name, [ask])
        return JsonAnswer(lookup_json(ask, known))

    async def lookups(self, request: Request) -> Response:
        """Many codes and ids."""
        caller = await self._credentials.authenticate(request.headers)
        Parameters(request.scope["query_string"], ())
        body = await read_whole_body(request, limit=MAX_BODY, seconds=_BODY_SECONDS)
        try:
            asked = parse_lookups(body)
        except InvalidPayload as error:
            raise ProblemError(invalid_payload(error.details)) from None
        asks = [_ask(caller, each) for each in asked]
        caller.require(*{_permission(ask) for ask in asks})
        known: Sequence[Known] = await self._reader.look_up(caller.project.name, asks) if asks else ()
        return Response(lookups_json(asks, known), media_type="application/json")


def _code(raw_path: bytes) -> str:
    """The code in a path. What follows the prefix is all of it, slashes too, encoded or not."""
    encoded = _after_prefix(raw_path)
    if not encoded:
        raise ProblemError(not_found("There is nothing at this path: a code is missing."))
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        raise ProblemError(invalid_query_params("Property .code is not percent-encoded UTF-8")) from None


def _after_prefix(raw_path: bytes) -> bytes:
    if raw_path.startswith(_PREFIX):
        return raw_path[len(_PREFIX) :]
    # The route was found by the decoded path: of the prefix a letter is percent-encoded, or a slash.
    *segments, encoded = raw_path.split(b"/", _PREFIX.count(b"/"))
    if b"/".join(map(unquote_to_bytes, segments)) + b"/" == _PREFIX and not any(
        b"/" in unquote_to_bytes(each) for each in segments
    ):
        return encoded
    raise ProblemError(not_found("There is nothing at this path."))


def _ask(caller: Caller, lookup: AnyLookup) -> CodeAsk | ResourceAsk:
    if isinstance(lookup, ResourceLookup):
        return ResourceAsk(lookup.resource_type, lookup.resource_id, lookup.campaign_id)
    return CodeAsk(lookup.code, caller.project.case_sensitive_codes, lookup.campaign_id)


def _permission(ask: CodeAsk | ResourceAsk) -> Permission:
    return "vouchers.read" if isinstance(ask, CodeAsk) else READ_PERMISSION_OF[ask.resource_type]
