"""What Voucherify's bin answers, as the client reads it. Source: Voucherify's API description.

Fields that are not published are kept (``model_extra``); enums are open. A field of the wrong type
refuses the whole page: a mirror must not be built on half-understood answers.
"""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from schemas.events import RESOURCE_TYPES
from schemas.times import Micros, parse_time

MAX_ID_LENGTH: Final = 512
"""Ids are opaque and may grow, but they must fit into a request line."""


def _moment(value: object) -> Micros:
    if not isinstance(value, str):
        raise ValueError("is no date-time")  # noqa: TRY004 - pydantic turns ValueError into its own
    return parse_time(value)


Id: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]


class VoucherifyEntry(BaseModel):
    """One entry of Voucherify's bin."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    id: Id
    """``tbe_…``: Voucherify's own, never a provisional one."""
    created_at: Annotated[Micros, BeforeValidator(_moment)]
    """When the resource was moved to the bin."""
    resource_id: Id
    resource_type: Id
    """campaign, product, sku, voucher, or one that is not known yet."""
    resource_name: str | None = None
    resource_parent_id: str | None = None
    """A voucher's campaign, a SKU's product."""
    deleted_by_user_id: str | None = None
    """None when deleted through the API."""

    @property
    def known(self) -> bool:
        """Whether its resource type is one of the published ones."""
        return self.resource_type in RESOURCE_TYPES


class BinPage(BaseModel):
    """A listing's answer."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    object: Literal["list"]
    data: tuple[VoucherifyEntry, ...]
    has_more: bool
    more_starting_after: str | None = None
    """The cursor of the next page: the id of this one's last entry."""


class BinError(BaseModel):
    """An error's body. Every field is optional: what cannot be read counts as missing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: int | None = None
    key: str | None = None
    message: str | None = None
    details: str | None = None
    request_id: str | None = None

    def told(self) -> str:
        """What it says, in one line; empty if nothing."""
        parts = [part for part in (self.message, self.details) if part]
        if self.request_id:
            parts.append(f"request {self.request_id}")
        return "; ".join(parts)
