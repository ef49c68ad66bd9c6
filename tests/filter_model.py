"""The meaning of bin filters in plain Python: what every query on a database must agree with."""

from collections.abc import Mapping

from schemas.trash_bin import Condition, FilterKey, Filters


def matches(filters: Filters, entry_values: Mapping[FilterKey, str]) -> bool:
    """Whether an entry with these values is in the listing. No conditions: everything is."""
    by_key = [
        all(_holds(condition, entry_values[key]) for condition in conditions)
        for key, conditions in filters.conditions
    ]
    if not by_key:
        return True
    return any(by_key) if filters.junction == "or" else all(by_key)


def _holds(condition: Condition, value: str) -> bool:  # noqa: PLR0911 - one return for each operator
    wanted = condition.values
    match condition.operator:
        case "$is" | "$in":
            return value in wanted
        case "$is_not" | "$not_in":
            return value not in wanted
        case "$has_value":
            return value != ""
        case "$is_unknown":
            return value == ""
        case "$starts_with":
            return any(value.startswith(each) for each in wanted)
        case "$ends_with":
            return any(value.endswith(each) for each in wanted)
        case "$contains":
            return any(each in value for each in wanted)
        case "$not_contain":
            return not any(each in value for each in wanted)
