"""Configurations that are kept, tokens to enrol with, accounts on the broker."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kept_configurations",
        sa.Column("gateway", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("kept_at", UtcTime(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("box", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("gateway", "version", name=op.f("pk_kept_configurations")),
    )
    op.create_table(
        "enrolment_tokens",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("gateway", sa.String(length=63), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("used_by", sa.String(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_enrolment_tokens")),
    )
    op.create_index(op.f("ix_enrolment_tokens_gateway"), "enrolment_tokens", ["gateway"])
    op.create_table(
        "broker_accounts",
        sa.Column("gateway", sa.String(length=63), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("is_written", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("gateway", name=op.f("pk_broker_accounts")),
    )


def downgrade() -> None:
    op.drop_table("broker_accounts")
    op.drop_index(op.f("ix_enrolment_tokens_gateway"), table_name="enrolment_tokens")
    op.drop_table("enrolment_tokens")
    op.drop_table("kept_configurations")
