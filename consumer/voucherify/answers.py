"""Reading Voucherify's successful answers; whatever is not what it publishes is refused."""

from typing import Final, NamedTuple

from pydantic import ValidationError

from consumer.voucherify.errors import ProtocolError, TruncatedAnswerError
from schemas.voucherify_bin import BinPage

_OK: Final = 200
_NO_CONTENT: Final = 204


class Answer(NamedTuple):
    """A success: 2XX."""

    status: int
    body: bytes


def read_page(answer: Answer) -> BinPage:
    """A listing's answer.

    Raises:
        ProtocolError: it is none; TruncatedAnswerError when it only ends too early.

    """
    if answer.status != _OK:
        raise ProtocolError(f"Voucherify answers {answer.status} where 200 is published")
    try:
        return BinPage.model_validate_json(answer.body)
    except ValidationError as error:
        # Without the input: names and codes of a shop do not belong in a log.
        problem = error.errors(include_url=False, include_input=False)[0]
    if problem["type"] != "json_invalid":
        where = ".".join(str(part) for part in problem["loc"]) or "the answer"
        raise ProtocolError(
            f"Voucherify's answer is not what it publishes: {where}: {problem['msg']}; nothing was concluded "
            "from it"
        )
    if answer.body.lstrip()[:1] == b"<":
        raise ProtocolError(
            "Voucherify answers HTML instead of JSON: is there a proxy or a login page in between? "
            "Check VOUCHERIFY_URL"
        )
    if "EOF while parsing" in problem["msg"]:
        raise TruncatedAnswerError(f"Voucherify's answer ends too early, after {len(answer.body)} bytes")
    raise ProtocolError("Voucherify's answer is not JSON; check VOUCHERIFY_URL")


def read_deleted(answer: Answer) -> None:
    """A deletion's answer.

    Raises:
        ProtocolError: not the published 204.

    """
    if answer.status != _NO_CONTENT:
        raise ProtocolError(
            f"Voucherify answers {answer.status} where 204 is published; whether the entry was deleted is "
            "unknown: try again"
        )
