"""What the receiver says of itself: it is no route, so its descriptions stand here."""

import json
from collections.abc import Iterator
from typing import Final

from consumer.web.contract.describe import (
    RETRY_HEADER,
    UNAUTHORIZED,
    Answer,
    Content,
    ErrorAnswer,
    Operation,
    Parameter,
)
from consumer.web.contract.openapi import Documented
from consumer.web.event_ids import EVENT_ID_NAME
from consumer.web.targets import PREFIX
from schemas.answers import WebhookAccepted
from schemas.envelope import WebhookBody
from schemas.errors import payload_too_large, request_timeout, service_unavailable
from schemas.samples import documented

_PROJECT: Final = Parameter(
    name="project",
    place="path",
    text="The project's name here; or an event's name, which has a dot.",
    schema={"type": "string", "minLength": 1},
    example="default",
)
_EVENT: Final = Parameter(
    name="event_name",
    place="path",
    text="What happened, for bodies that do not say so.",
    schema={"type": "string", "pattern": r"^(EVENTS\.)?[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)+$"},
    example="voucher.deleted",
)
_EXAMPLE: Final = json.loads(documented())


def webhook_operations(max_body_bytes: int) -> Iterator[Documented]:
    """Method, path and description of each form of the path."""
    for name, path, parameters in (
        ("", "", ()),
        ("_for_project", "/{project}", (_PROJECT,)),
        ("_for_project_and_event", "/{project}/{event_name}", (_PROJECT, _EVENT)),
    ):
        yield "POST", PREFIX + path, _operation(name, parameters, max_body_bytes)


def _operation(name: str, parameters: tuple[Parameter, ...], max_body_bytes: int) -> Operation:
    return Operation(
        name=f"receive_webhook{name}",
        tag="webhooks",
        summary="Take a delivery of Voucherify's",
        text=(
            "202 once the delivery is durable. Without a project in the path it is the project "
            "`default`, or else the only one. Duplicates, test deliveries and signed bodies that make no "
            "sense are taken too: the schema names what is read, nothing in it is required. A 503 means "
            '"perhaps stored": sending it again does no harm.'
        ),
        parameters=parameters,
        body=[Content(shape=WebhookBody, example=_EXAMPLE)],
        answers={
            202: Answer(
                text="Durable, or of a type that is not kept.",
                headers={EVENT_ID_NAME: "The event, if it is kept: `Binmirror-Min-Event` waits for it."},
                content=[
                    Content(
                        shape=WebhookAccepted,
                        example={
                            "event_id": "evvou_0e451d8bb1100d79dd",
                            "position": {"partition": 0, "offset": 17},
                            "stored": "log",
                        },
                    )
                ],
            )
        },
        errors=(
            UNAUTHORIZED,
            ErrorAnswer(body=request_timeout()),
            ErrorAnswer(body=payload_too_large(max_body_bytes)),
            ErrorAnswer(
                body=service_unavailable("The delivery could not be stored; send it again."),
                headers=RETRY_HEADER,
            ),
        ),
        access="signature",
    )
