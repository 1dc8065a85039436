"""Second factors, releases from quarantine, break-glass, and two who lift the kill switch."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "second_factors",
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("box", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("recovery", sa.JSON(), nullable=False),
        sa.Column("enrolled_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("username", name=op.f("pk_second_factors")),
    )
    op.create_table(
        "releases",
        sa.Column("command", sa.String(36), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("command", "username", name=op.f("pk_releases")),
    )
    op.create_table(
        "break_glass",
        sa.Column("command", sa.String(36), nullable=False),
        sa.Column("username", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("review_until", UtcTime(), nullable=False),
        sa.Column("reviewed_by", sa.String(), nullable=True),
        sa.Column("reviewed_at", UtcTime(), nullable=True),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("review", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("command", name=op.f("pk_break_glass")),
    )
    op.create_index(op.f("ix_break_glass_at"), "break_glass", ["at"])
    op.create_index(op.f("ix_break_glass_reviewed_at"), "break_glass", ["reviewed_at"])
    op.add_column("kill_switch", sa.Column("lift_asked_by", sa.String(), nullable=True))
    op.add_column("kill_switch", sa.Column("lift_asked_at", UtcTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("kill_switch", "lift_asked_at")
    op.drop_column("kill_switch", "lift_asked_by")
    op.drop_table("break_glass")
    op.drop_table("releases")
    op.drop_table("second_factors")
