"""Keys of meters at rest, and signed checkpoints of the audit log."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "meter_keys",
        sa.Column("meter", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("origin", sa.String(200), nullable=False),
        sa.Column("holds", sa.String(200), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("settled_at", UtcTime(), nullable=True),
        sa.Column("master", sa.String(16), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("box", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("meter", "version", name=op.f("pk_meter_keys")),
    )
    op.create_index(op.f("ix_meter_keys_state"), "meter_keys", ["state"])
    op.create_index(op.f("ix_meter_keys_master"), "meter_keys", ["master"])
    op.create_table(
        "key_changes",
        sa.Column("command_id", sa.String(36), nullable=False),
        sa.Column("meter", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("command_id", name=op.f("pk_key_changes")),
    )
    op.create_index(op.f("ix_key_changes_meter_version"), "key_changes", ["meter", "version"])
    op.create_table(
        "audit_checkpoints",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_checkpoints")),
    )


def downgrade() -> None:
    op.drop_table("audit_checkpoints")
    op.drop_table("key_changes")
    op.drop_table("meter_keys")
