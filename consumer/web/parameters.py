"""The parameters of our own routes: known by name, there once at most, and checked. All errors are 400."""

from collections.abc import Collection
from typing import Final
from urllib.parse import parse_qsl

from consumer.web.errors import ProblemError
from schemas.errors import invalid_query_params
from schemas.query_text import fault_of, shown
from schemas.times import Micros, parse_time

_MAX_BYTES: Final = 32 * 1024
_MAX_DIGITS: Final = 9


def invalid(name: str, fault: str) -> ProblemError:
    """The answer to a parameter with a ``fault``, in words that follow its name."""
    return ProblemError(invalid_query_params(f"Property .{shown(name)} {fault}"))


class Parameters:
    """Of one request. An empty value is as good as none.

    Raises ProblemError: 400, naming the parameter.
    """

    def __init__(self, query_string: bytes, known: Collection[str]) -> None:
        self._values: dict[str, str] = {}
        if len(query_string) > _MAX_BYTES:
            raise ProblemError(invalid_query_params(f"The query is longer than {_MAX_BYTES} bytes"))
        try:
            pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            raise ProblemError(invalid_query_params("The query is not percent-encoded UTF-8")) from None
        for name, value in pairs:
            if name not in known:
                raise invalid(name, f"is unknown: there are {', '.join(known)}" if known else "is unknown")
            if name in self._values:
                raise invalid(name, "is there more than once")
            self._values[name] = value

    def given(self, name: str) -> str | None:
        """As it is there, perhaps empty."""
        return self._values.get(name)

    def text(self, name: str) -> str | None:
        """A text that a database can compare."""
        value = self._values.get(name) or None
        fault = None if value is None else fault_of(value)
        if fault is not None:
            raise invalid(name, fault)
        return value

    def one_of(self, name: str, choices: Collection[str]) -> str | None:
        value = self._values.get(name) or None
        if value is not None and value not in choices:
            raise invalid(name, f"should be one of {', '.join(choices)}")
        return value

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        value = self._values.get(name)
        if not value:
            return default
        if not (value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS):
            raise invalid(name, f"should be a whole number from {least} to {most}")
        if not least <= int(value) <= most:
            raise invalid(name, f"should be a whole number from {least} to {most}")
        return int(value)

    def time(self, name: str) -> Micros | None:
        value = self._values.get(name)
        if not value:
            return None
        try:
            return parse_time(value)
        except (ValueError, OverflowError):
            raise invalid(name, "is no ISO 8601 time, for example 2026-05-07T09:15:00Z") from None
