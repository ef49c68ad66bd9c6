"""The index of parts of names and ids, if the projection has one: what it holds and how it is asked.

PostgreSQL: an index of pg_trgm's for each key. SQLite: a table of FTS5's for each key, which triggers keep
in the transactions that change entries. Both find more than was asked for, never less.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from consumer.projection.engines import Kind
from consumer.projection.fragments import Sql, either
from schemas.trash_bin import Condition, FilterKey

LENGTH: Final = 3
"""Characters of a trigram: shorter texts are not found by any."""
_ASKED: Final = 8
"""Trigrams of a text that are asked for. All of them would find few entries less."""


class Part(NamedTuple):
    """What is indexed for one key of the filters."""

    key: FilterKey
    name: str
    """Of the index in PostgreSQL, of the table in SQLite."""
    text: str
    """An expression of columns of ``bin_entries``, each in braces."""

    @property
    def shown(self) -> str:
        """The expression in a statement."""
        return self.text.format("")

    def of_row(self, row: str) -> str:
        """The expression in a trigger: of ``new`` or ``old``."""
        return self.text.format(f"{row}.")


PARTS: Final = (
    Part("resource_name", "bin_entries_trigrams_resource_name", "{0}resource_name"),
    Part("resource_id", "bin_entries_trigrams_resource_id", "{0}resource_id"),
    Part(  # filters.SHOWN_ID
        "id", "bin_entries_trigrams_id", "coalesce(nullif({0}entry_id, ''), {0}provisional_id, {0}sort_key)"
    ),
)
BY_KEY: Final = {part.key: part for part in PARTS}

READY: Final = "bin_entries_trigrams"
"""SQLite's table of the keys that are indexed in full, and the version of the schema when they were.

They are found by the numbers of their rows. VACUUM may number rows anew; it also changes the version, and so
does whatever changes tables. Then they are not asked until they have been made anew.
"""

_IN_SQLITE: Final = (
    f"SELECT key FROM {READY} WHERE schema_version = (SELECT schema_version FROM pragma_schema_version)"  # noqa: S608 - only our own names
)
_IN_POSTGRES: Final = (
    "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "WHERE i.indrelid = to_regclass('bin_entries') AND i.indisvalid"
)
_SQLITE_HAS: Final = f"SELECT 1 FROM sqlite_master WHERE name = '{READY}'"  # noqa: S608 - only our own names


def indexed_keys(connection: Connection) -> frozenset[FilterKey]:
    """The keys whose parts can be looked up now. In SQLite true until the transaction ends."""
    if connection.dialect.name == "postgresql":
        names = set(connection.exec_driver_sql(_IN_POSTGRES).scalars())
        return frozenset(part.key for part in PARTS if part.name in names)
    if connection.exec_driver_sql(_SQLITE_HAS).first() is None:
        return frozenset()
    keys = set(connection.exec_driver_sql(_IN_SQLITE).scalars())
    return frozenset(part.key for part in PARTS if part.key in keys)


def is_part(condition: Condition) -> bool:
    """Whether an index of its key's parts finds what it lets through."""
    return (
        condition.key in BY_KEY
        and condition.operator in {"$contains", "$ends_with"}
        and all(len(text) >= LENGTH for text in condition.values)
    )


def matching(condition: Condition, kind: Kind) -> Sql:
    """What the index finds: all that ``condition`` lets through, and more."""
    part = BY_KEY[condition.key]
    if kind == "sqlite":
        wanted = " OR ".join(f"({_all_of(text)})" for text in condition.values)
        return Sql(f"{part.name} MATCH ?", (wanted,))
    end = "%" if condition.operator == "$contains" else ""
    return either(Sql(f"{part.shown} LIKE ?", (f"%{_literal(text)}{end}",)) for text in condition.values)


def _all_of(text: str) -> str:
    quoted = (trigram.replace('"', '""') for trigram in _some_trigrams(text))
    return " AND ".join(f'"{trigram}"' for trigram in quoted)


def _some_trigrams(text: str) -> Sequence[str]:
    """The first, the last, and some in between."""
    last = len(text) - LENGTH
    number = min(last + 1, _ASKED)
    places = [last * index // (number - 1) for index in range(number)] if number > 1 else [0]
    return list(dict.fromkeys(text[place : place + LENGTH] for place in places))


# pg_trgm compares in lower case, in which some locales make another letter of a sigma at a word's end. What
# is looked for may end within a word: any character will do there.
_LITERAL: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_", "\N{GREEK CAPITAL LETTER SIGMA}": "_"})


def _literal(text: str) -> str:
    return text.translate(_LITERAL)
