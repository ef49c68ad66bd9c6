"""Lookups on the wire: what is asked, and the verdicts."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

import msgspec
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from schemas.errors import InvalidPayload
from schemas.events import ResourceType, State
from schemas.text import Text

MAX_LOOKUPS: Final = 1_000
"""In one call."""
MAX_BODY: Final = 4 * 1024 * 1024
"""Bytes: a thousand codes, each as long as one can be, escaped."""

Verdict: TypeAlias = Literal["dead", "deleted", "reusable", "reused", "unknown"]
"""dead: in Voucherify's bin. deleted: a webhook said so, the bin has not confirmed it. reusable: gone for
good, another may bear the code. reused: another was seen alive since. unknown: nothing is known of its
death, which does not mean that it lives."""


class CodeLookup(BaseModel):
    """Asks for a voucher's code."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str
    campaign_id: Text | None = None
    """The campaign that the code belongs to, if known: vouchers die with it without an event of their own."""


class ResourceLookup(BaseModel):
    """Asks for a resource by its id."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        # What the validator below says, for those who read the schema.
        json_schema_extra={
            "if": {"properties": {"campaign_id": {"type": "string"}}, "required": ["campaign_id"]},
            "then": {"properties": {"resource_type": {"const": "voucher"}}},
        },
    )

    resource_type: ResourceType
    resource_id: str
    campaign_id: Text | None = None
    """Of a voucher, as above."""

    @model_validator(mode="after")
    def _campaigns_have_vouchers(self) -> Self:
        if self.campaign_id is not None and self.resource_type != "voucher":
            raise ValueError("has a campaign_id, which goes with vouchers alone")
        return self


def _kind(lookup: Any) -> str | None:  # noqa: ANN401 - whatever a client sends
    return ("code" if "code" in lookup else "resource") if isinstance(lookup, dict) else None


Lookup: TypeAlias = Annotated[
    Annotated[CodeLookup, Tag("code")] | Annotated[ResourceLookup, Tag("resource")], Discriminator(_kind)
]


class LookupsRequest(BaseModel):
    """The body of ``POST /mirror/v1/lookups``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lookups: Annotated[list[Lookup], Field(max_length=MAX_LOOKUPS)]


class PlainCode(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A ``CodeLookup`` as msgspec reads it."""

    code: str
    campaign_id: Text | None = None


AnyLookup: TypeAlias = PlainCode | CodeLookup | ResourceLookup


class EvidenceView(BaseModel):
    """What a verdict rests on: the state of an entry, or that a voucher was seen alive."""

    resource_type: str
    resource_id: str
    state: State | Literal["seen"]
    event_id: str
    """Of the event that says so."""
    at: str
    """When it was true at Voucherify."""


class BearerView(BaseModel):
    """A resource that bore the code."""

    resource_type: str
    resource_id: str
    resource_name: str | None
    campaign_id: str | None
    """A voucher's campaign, as last known."""
    state: State | None
    """Of its entry in the bin; null when it has none."""
    entry_id: str | None
    deleted_at: str | None
    state_at: str | None
    """When Voucherify had it in this state, by the latest evidence."""
    state_event_id: str | None
    seen_at: str | None
    """When an event last showed it alive, by its name."""
    seen_event_id: str | None


class LookupView(BaseModel):
    """The answer to one lookup: what was asked, the verdict, and what it rests on."""

    object: Literal["lookup"] = "lookup"
    code: str | None
    """As asked; null when asked by id."""
    resource_type: str | None
    resource_id: str | None
    campaign_id: str | None
    verdict: Verdict
    evidence: EvidenceView | None
    """Null for ``unknown``."""
    resources: list[BearerView]
    """All that bore the code, newest first."""


class LookupsView(BaseModel):
    """The answer to many, in the order in which they were asked."""

    object: Literal["list"] = "list"
    data_ref: Literal["data"] = "data"
    data: list[LookupView]
    total: int


class _PlainRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A request with nothing but codes."""

    lookups: Annotated[list[PlainCode], msgspec.Meta(max_length=MAX_LOOKUPS)]


_decoder: Final = msgspec.json.Decoder(_PlainRequest)


def parse_lookups(body: bytes) -> Sequence[AnyLookup]:
    """The lookups that a body asks for.

    Raises:
        InvalidPayload: ``details`` names the field.

    """
    if rb"\u0000" not in body:  # which msgspec lets pass in a campaign's id
        try:
            return _decoder.decode(body).lookups
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    return parse_thoroughly(body)


def parse_thoroughly(body: bytes) -> Sequence[AnyLookup]:
    """As ``parse_lookups``, by pydantic alone: the two never differ in what they find."""
    try:
        return LookupsRequest.model_validate_json(body).lookups
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if problem["type"] == "json_invalid":
        raise InvalidPayload(details=problem["msg"])
    if problem["type"] == "too_long":
        raise InvalidPayload(details=f"Property .lookups has more than {MAX_LOOKUPS} items")
    if not problem["loc"]:
        raise InvalidPayload(details="The body should be an object with lookups")
    raise InvalidPayload(
        details=f"Property {_path(problem['loc'])} {_fault(problem['type'], problem['msg'])}"
    )


def _path(location: tuple[int | str, ...]) -> str:
    """``.lookups[3].code``; the tags of pydantic's unions stand at the place after the index."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part[:100]}" for part in location]
    if len(parts) > _TAG:
        del parts[_TAG]
    return "".join(parts)


_TAG: Final = 2
"""Where in a location the tag of the union stands."""


def _fault(kind: str, message: str) -> str:
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is unknown"
        case "string_too_long" | "string_pattern_mismatch":
            return "holds NUL or is too long"
        case "union_tag_not_found" | "union_tag_invalid":
            return "should be an object with code, or with resource_type and resource_id"
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
