"""The bin API's wire forms: query, filters, entries, pages. Source: Voucherify's API description."""

from typing import Literal, NamedTuple, TypeAlias

FilterKey: TypeAlias = Literal["id", "resource_type", "resource_name", "resource_id"]
Operator: TypeAlias = Literal[
    "$in",
    "$not_in",
    "$is",
    "$is_not",
    "$has_value",
    "$is_unknown",
    "$starts_with",
    "$ends_with",
    "$contains",
    "$not_contain",
]
Junction: TypeAlias = Literal["and", "or"]
Order: TypeAlias = Literal["id", "-id"]


class Condition(NamedTuple):
    """One condition on one key. ``values`` is what the client sent, in order; empty for $has_value and
    $is_unknown. Scalar operators with several values ($is[0]=a&$is[1]=b): see ``parse_bin_query``.
    """

    key: FilterKey
    operator: Operator
    values: tuple[str, ...]


class Filters(NamedTuple):
    """Conditions by key: those of one key are joined by "and", the keys by ``junction``."""

    junction: Junction = "and"
    conditions: tuple[tuple[FilterKey, tuple[Condition, ...]], ...] = ()


class BinQuery(NamedTuple):
    """A parsed listing request."""

    limit: int = 10
    order: Order = "id"
    after_id: str | None = None
    filters: Filters = Filters()
