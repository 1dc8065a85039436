"""Accounts with areas, scopes and a place elsewhere to log in; API tokens."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ADDED = ("email", "areas", "scopes", "external_id", "origin")


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("email", sa.String(254), nullable=True))
        users.add_column(sa.Column("areas", sa.JSON(), nullable=True))
        users.add_column(sa.Column("scopes", sa.JSON(), nullable=True))
        users.add_column(sa.Column("external_id", sa.String(512), nullable=True))
        users.add_column(sa.Column("origin", sa.String(16), nullable=False, server_default="local"))
        users.create_unique_constraint(op.f("uq_users_external_id"), ["external_id"])
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("revoked_at", UtcTime(), nullable=True),
        sa.Column("revoked_by", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_tokens_digest")),
    )
    op.create_index(op.f("ix_api_tokens_username"), "api_tokens", ["username"])


def downgrade() -> None:
    """Goes back: accounts of the roles that came with this are disabled, as nobody knows them."""
    op.execute(
        "UPDATE users SET disabled = true, role = 'viewer' WHERE role IN ('auditor', 'service')"
    )
    op.execute("UPDATE users SET disabled = true WHERE areas IS NOT NULL OR password_hash = ''")
    op.drop_table("api_tokens")
    with op.batch_alter_table("users") as users:
        users.drop_constraint(op.f("uq_users_external_id"), type_="unique")
        for name in _ADDED:
            users.drop_column(name)
