"""Values that all layers share: records and positions, projects and permissions, health."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from schemas.records import Headers


class NewRecord(NamedTuple):
    """A record to append. The log keeps all three parts byte for byte."""

    key: bytes
    value: bytes
    headers: Headers


class Record(NamedTuple):
    """A record as read from the log."""

    partition: int
    offset: int
    """0 for the first record of a partition, then one more for each."""
    key: bytes
    value: bytes
    headers: Headers


class Position(NamedTuple):
    """Where a record lies in its log."""

    partition: int
    offset: int


class Bounds(NamedTuple):
    """What a partition holds: offsets ``start <= offset < end``."""

    start: int
    end: int


Permission: TypeAlias = Literal[
    "vouchers.read",
    "campaigns.read",
    "products.read",
    "vouchers.delete",
    "campaigns.delete",
    "products.delete",
]
"""Voucherify's own names; SKUs go with the products."""
READ_PERMISSION_OF: Final[Mapping[str, Permission]] = {
    "voucher": "vouchers.read",
    "campaign": "campaigns.read",
    "product": "products.read",
    "sku": "products.read",
}
DELETE_PERMISSION_OF: Final[Mapping[str, Permission]] = {
    "voucher": "vouchers.delete",
    "campaign": "campaigns.delete",
    "product": "products.delete",
    "sku": "products.delete",
}
"""By resource type."""
READ_PERMISSIONS: Final[tuple[Permission, ...]] = tuple(dict.fromkeys(READ_PERMISSION_OF.values()))
ALL_PERMISSIONS: Final[frozenset[Permission]] = frozenset(get_args(Permission))

DEFAULT_PROJECT: Final = "default"
"""The name of the only project, where the settings have no table of them."""

Role: TypeAlias = Literal["receiver", "worker", "api"]


@dataclass(frozen=True, slots=True)
class VoucherifyAccess:
    """How to reach a project's own bin at Voucherify. The token stays out of ``repr``."""

    url: str
    """A cluster's name or an address."""
    app_id: str
    app_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Project:
    """One Voucherify project as configured. Secrets stay out of ``repr``."""

    name: str
    """Immutable: part of every record key."""
    webhook_secrets: tuple[bytes, ...] = field(repr=False)
    """All live secrets, newest first; empty when no receiver runs."""
    api_app_id: str | None = None
    api_app_token: bytes | None = field(default=None, repr=False)
    voucherify_project_id: str | None = None
    """Deliveries that name another one become failed events ``wrong_project``."""
    event_types: tuple[str, ...] = ("voucher.*", "campaign.*")
    """Patterns (fnmatch, case-sensitive) of what is stored."""
    voucherify: VoucherifyAccess | None = None
    """None: Voucherify's own bin is never asked."""
    case_sensitive_codes: bool = True
    """Whether Voucherify tells ``SUMMER`` from ``summer`` in this project's codes."""


class Health(NamedTuple):
    """How a role is doing."""

    ready: bool
    summary: str
    """One line for people; says what to do when not ready."""
    details: Mapping[str, object]


HealthCheck: TypeAlias = Callable[[], Awaitable[Health]]
