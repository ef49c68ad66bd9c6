"""API keys and access tokens: their digests, never themselves."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TEXT

revision = "0004"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        _text("app_id", nullable=False),
        _text("project", nullable=False),
        _text("name", nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        _text("permissions", nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        _text("created_by", nullable=False),
        sa.Column("last_used_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("app_id", name="api_keys_pkey"),
    )
    op.create_table(
        "access_tokens",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        _text("app_id", nullable=False),
        sa.Column("proof", sa.LargeBinary, nullable=False),
        _text("scopes", nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="access_tokens_pkey"),
    )
    op.create_index("access_tokens_expiry", "access_tokens", ["expires_at"])
    op.create_index("access_tokens_of_key", "access_tokens", ["app_id", "expires_at"])


def downgrade() -> None:
    for table in ("access_tokens", "api_keys"):
        op.drop_table(table)


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    kind = sa.Text().with_variant(TEXT(collation="C"), "postgresql")
    return sa.Column(name, kind, nullable=nullable)
