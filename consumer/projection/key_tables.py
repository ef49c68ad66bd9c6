"""The tables of API keys and access tokens: control tables, see ``tables``."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, PrimaryKeyConstraint, Table

from consumer.projection.tables import bin_entries, metadata

_TEXT: Final = bin_entries.c.project.type

api_keys: Final = Table(  # those that operators created; the settings' own are not here
    "api_keys",
    metadata,
    Column("app_id", _TEXT, nullable=False),
    Column("project", _TEXT, nullable=False),
    Column("name", _TEXT, nullable=False),
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the token
    Column("permissions", _TEXT, nullable=False),  # a JSON list
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", _TEXT, nullable=False),
    Column("last_used_at", BigInteger),
    Column("revoked_at", BigInteger),  # the row stays, so that the audit can be understood
    PrimaryKeyConstraint("app_id", name="api_keys_pkey"),
)

access_tokens: Final = Table(
    "access_tokens",
    metadata,
    Column("digest", LargeBinary, nullable=False),  # SHA-256 of the token
    Column("app_id", _TEXT, nullable=False),  # of a created key or of the settings'
    Column("proof", LargeBinary, nullable=False),  # that it was issued under the key as it is now
    Column("scopes", _TEXT, nullable=False),  # separated by spaces
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("digest", name="access_tokens_pkey"),
)
Index("access_tokens_expiry", access_tokens.c.expires_at)  # the expired are deleted
Index("access_tokens_of_key", access_tokens.c.app_id, access_tokens.c.expires_at)  # counted; ended with it
