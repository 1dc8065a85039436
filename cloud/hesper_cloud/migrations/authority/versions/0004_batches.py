"""Batches: one command for many meters, frozen, and the batch that a command belongs to."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requester", sa.String(), nullable=False),
        sa.Column("approver", sa.String(), nullable=True),
        sa.Column("canary", sa.Integer(), nullable=False),
        sa.Column("wave_size", sa.Integer(), nullable=False),
        sa.Column("per_hour", sa.Integer(), nullable=False),
        sa.Column("stop_percent", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("proposed_at", UtcTime(), nullable=False),
        sa.Column("approve_until", UtcTime(), nullable=False),
        sa.Column("approved_at", UtcTime(), nullable=True),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("allowance", sa.Integer(), nullable=False),
        sa.Column("next_release_at", UtcTime(), nullable=True),
        sa.Column("forgiven_finished", sa.Integer(), nullable=False),
        sa.Column("forgiven_failed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    op.create_index(op.f("ix_batches_state"), "batches", ["state"])
    op.create_index(op.f("ix_batches_proposed_at"), "batches", ["proposed_at"])
    op.create_table(
        "batch_rows",
        sa.Column("batch", sa.String(36), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("meter", sa.String(32), nullable=False),
        sa.Column("gateway", sa.String(63), nullable=True),
        sa.Column("area", sa.String(64), nullable=True),
        sa.Column("excluded", sa.Text(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("command", sa.String(36), nullable=True),
        sa.Column("released_at", UtcTime(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["batch"], ["batches.id"], name=op.f("fk_batch_rows_batch")),
        sa.PrimaryKeyConstraint("batch", "position", name=op.f("pk_batch_rows")),
        sa.UniqueConstraint("command", name=op.f("uq_batch_rows_command")),
    )
    op.create_index(
        op.f("ix_batch_rows_state_batch_position"), "batch_rows", ["state", "batch", "position"]
    )
    op.add_column("commands", sa.Column("batch", sa.String(36), nullable=True))


def downgrade() -> None:
    op.drop_column("commands", "batch")
    op.drop_table("batch_rows")
    op.drop_table("batches")
