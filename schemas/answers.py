"""What our own routes answer, as models: of them the published schemas are made.

The routes write most of these bodies by hand, for speed; tests hold what they write against the models.
"""

from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from schemas.errors import ErrorBody
from schemas.events import ResourceType
from schemas.positions import LogPosition

DateTime: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""ISO 8601, UTC, with milliseconds."""


T = TypeVar("T")
LeftOut: TypeAlias = T | SkipJsonSchema[None]
"""A field that is left out, and never null, where there is nothing to say."""


class Answered(BaseModel):
    """Base of these models. Fields may be added; readers ignore what they do not know."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class TrashBinEntry(Answered):
    """A deleted resource that is in the bin."""

    id: str
    """`tbe_…`: Voucherify's id of the entry, or a provisional one until that is known."""
    created_at: DateTime
    """When the resource was deleted."""
    deleted_by_user_id: str | None
    """Who deleted it in Voucherify's dashboard; null when deleted through the API."""
    resource_id: str
    """The deleted resource's own id."""
    resource_type: ResourceType
    resource_name: str
    """A voucher's code, a campaign's or product's name, a SKU's name."""
    resource_parent_id: str | None
    """A voucher's campaign, a SKU's product; else null."""
    object: ResourceType
    """The same as `resource_type`."""


class TrashBinPage(Answered):
    """One page of the bin."""

    object: Literal["list"]
    data_ref: Literal["data"]
    data: list[TrashBinEntry]
    total: int
    """How many entries this page has."""
    has_more: bool
    """Whether another page follows."""
    more_starting_after: LeftOut[str] = None
    """The cursor of the next page, for `starting_after_id`; there exactly when `has_more` is true."""


class WebhookAccepted(Answered):
    """A delivery that need not be sent again."""

    event_id: str
    """What happened, whatever the number of deliveries."""
    position: LogPosition | None
    """Null when the record is in the spool, was not kept, or the broker did not say where it is."""
    stored: Literal["log", "spool", False]
    """Where it is durable; false for a type that is not kept."""


class Liveness(Answered):
    """The process answers."""

    status: Literal["alive"]


class RoleReadiness(Answered):
    """How a role is, in one line."""

    ready: bool
    summary: str


class Readiness(Answered):
    """How the process and its roles are."""

    status: Literal["ready", "degraded"]
    """`degraded`: what decides is ready, another role is not."""
    roles: dict[str, RoleReadiness]
    """By role: receiver, worker, api."""


class NotReady(ErrorBody):
    """The error of what is not ready, with how the roles are."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    status: Literal["not_ready"]
    roles: dict[str, RoleReadiness]


class RoleHealth(RoleReadiness):
    """How a role is, with all details."""

    details: dict[str, object]


class HealthReport(Answered):
    """Everything there is to know about the process."""

    model_config = ConfigDict(extra="allow")

    status: Literal["ready", "not_ready"]
    version: str
    roles: dict[str, RoleHealth]


class PublishedSchema(Answered):
    """A JSON Schema that is kept stable."""

    name: str
    version: int
    id: str
    """Its `$id`: the same wherever the service stands."""
    href: str
    """Its path here."""


class PublishedSchemas(Answered):
    """All of them."""

    schemas: list[PublishedSchema]
