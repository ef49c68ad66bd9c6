"""``DELETE /v1/trash-bin/{id}``: for good, as Voucherify's API does it."""

import math
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from consumer.errors import RecordRefusedError
from consumer.ops.purge import (
    DeletesRefusedError,
    NotInBinYetError,
    Purge,
    UnfinishedPurgeError,
    UnknownEntryError,
)
from consumer.types import DELETE_PERMISSION_OF, Permission
from consumer.voucherify.errors import (
    ForbiddenError,
    RateLimitedError,
    ServerFailedError,
    UnreachableError,
    VoucherifyError,
)
from consumer.web.auth import Credentials
from consumer.web.contract.describe import (
    READ_ERRORS,
    RETRY_HEADER,
    Answer,
    ErrorAnswer,
    Operation,
    Parameter,
)
from consumer.web.errors import RETRY_AFTER, Problem, ProblemError, RawHeaders
from consumer.web.event_ids import EVENT_ID_HEADER, EVENT_ID_NAME, header_of_event
from schemas.errors import (
    bad_gateway,
    internal_error,
    missing_permission,
    resource_not_found,
    service_unavailable,
    too_many_requests,
)

_LATER: Final[RawHeaders] = ((b"retry-after", b"60"),)


class Deletion:
    """The endpoint."""

    def __init__(self, purge: Purge, credentials: Credentials) -> None:
        self._purge = purge
        self._credentials = credentials

    async def delete_entry(self, request: Request) -> Response:
        caller = await self._credentials.authenticate(request.headers, scope="trash-bin")
        if caller.permissions.isdisjoint(DELETE_PERMISSION_OF.values()):
            raise ProblemError(missing_permission())
        entry_id = request.path_params["entry_id"]
        try:
            purged = await self._purge(
                caller.project.name,
                entry_id,
                request_id=request.state.request_id,
                who=caller.who,
                allow=lambda resource_type: caller.require(*_needed(resource_type)),
            )
        except UnknownEntryError:
            raise ProblemError(resource_not_found("bin_entry", entry_id)) from None
        except DeletesRefusedError as error:
            raise ProblemError(missing_permission(str(error))) from None
        except (NotInBinYetError, UnfinishedPurgeError, VoucherifyError) as error:
            request.state.failure = error
            raise ProblemError(*_problem(error)) from error
        except RecordRefusedError as error:
            request.state.failure = error
            raise ProblemError(internal_error()) from error
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        response.raw_headers.append((EVENT_ID_HEADER, header_of_event(purged.event_id)))
        return response


def _needed(resource_type: str) -> Iterable[Permission]:
    """What deleting such an entry takes; of a type that this version does not know: everything."""
    known = DELETE_PERMISSION_OF.get(resource_type)
    return DELETE_PERMISSION_OF.values() if known is None else (known,)


def _problem(error: Exception) -> Problem:
    """A refusal of Voucherify's is passed on as far as it concerns whoever asked; the rest is ours."""
    reason = str(error)
    match error:
        case ForbiddenError():
            return Problem(missing_permission(reason))
        case RateLimitedError():
            return Problem(too_many_requests(reason), _after(error.retry_after))
        case ServerFailedError():
            return Problem(service_unavailable(reason), _after(error.retry_after))
        case UnreachableError() | UnfinishedPurgeError():
            return Problem(service_unavailable(reason), RETRY_AFTER)
        case NotInBinYetError():
            return Problem(service_unavailable(reason), _LATER)
    # Wrong credentials of ours, an answer that is none: repeating it would not help.
    return Problem(bad_gateway(reason))


def _after(seconds: float | None) -> RawHeaders:
    return RETRY_AFTER if seconds is None else ((b"retry-after", b"%d" % max(1, math.ceil(seconds))),)


DELETE_ENTRY: Final = Operation(
    name="delete_bin_entry",
    tag="bin",
    summary="Delete an entry for good",
    text=(
        "Cannot be undone: the code, name or source id becomes free again. The setting `DELETES` says "
        "whether Voucherify is asked first, or not at all. May be repeated after any failure. Of a "
        "campaign, Voucherify goes on deleting in the background. Needs the permission to delete the "
        "resource's type, for example `vouchers.delete`."
    ),
    parameters=(
        Parameter(
            name="entry_id",
            place="path",
            text="The id that the API shows, the provisional one of before, or Voucherify's own.",
            schema={"type": "string", "minLength": 1},
            example="tbe_0eb6515f758ae37126",
        ),
    ),
    answers={
        204: Answer(
            text="Done, now or before.",
            headers={EVENT_ID_NAME: "The event that says so: `Binmirror-Min-Event` waits for it."},
        )
    },
    errors=(
        *READ_ERRORS,
        ErrorAnswer(body=missing_permission()),
        ErrorAnswer(body=resource_not_found("bin_entry", "tbe_0eb6515f758ae37126")),
        ErrorAnswer(body=too_many_requests("Voucherify's rate limit is used up"), headers=RETRY_HEADER),
        ErrorAnswer(body=bad_gateway("Voucherify refuses our credentials")),
        ErrorAnswer(body=service_unavailable("Voucherify does not answer"), headers=RETRY_HEADER),
    ),
)
