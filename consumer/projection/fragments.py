"""Pieces of SQL with the values that stand in them.

The listing's statements are texts: built of SQLAlchemy's objects they took longer to build than to answer. A
text is made of this package's own words alone; what comes from outside is a value. A property holds that.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from consumer.projection.engines import Kind


class Sql(NamedTuple):
    """``text`` has a question mark for each of ``values``, and no other."""

    text: str
    values: tuple[Any, ...] = ()

    def for_driver(self, kind: Kind) -> str:
        """The text as the database's driver takes it."""
        return self.text if kind == "sqlite" else self.text.replace("?", "%s")


TRUE = Sql("1 = 1")
FALSE = Sql("1 = 0")


def put_together(template: str, *parts: Sql) -> Sql:
    """The template with each part in its ``{}``, in order."""
    return Sql(template.format(*(part.text for part in parts)), _values(parts))


def joined(word: str, parts: Iterable[Sql], *, empty: Sql) -> Sql:
    """The parts with a word between them; ``empty``: what none at all mean."""
    all_of_them = list(parts)
    if not all_of_them:
        return empty
    return Sql(word.join([part.text for part in all_of_them]), _values(all_of_them))


def every(parts: Iterable[Sql]) -> Sql:
    """All of the conditions."""
    return joined(" AND ", (put_together("({})", part) for part in parts), empty=TRUE)


def either(parts: Iterable[Sql]) -> Sql:
    """One of the conditions at least."""
    return joined(" OR ", (put_together("({})", part) for part in parts), empty=FALSE)


def one_of(column: str, values: Sequence[str]) -> Sql:
    """Whether the column is one of ``values``, which may be none."""
    return Sql(f"{column} IN ({', '.join('?' * len(values))})", tuple(values)) if values else FALSE


def _values(parts: Sequence[Sql]) -> tuple[Any, ...]:
    return tuple([value for part in parts for value in part.values])
