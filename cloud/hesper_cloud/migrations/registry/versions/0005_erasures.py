"""Orders to erase what is stored of a meter."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("forget_customer", sa.Boolean(), nullable=False),
        sa.Column("audit_row", sa.Integer(), nullable=False),
        sa.Column("ordered_at", UtcTime(), nullable=False),
        sa.Column("passes", sa.Integer(), nullable=False),
        sa.Column("removed", sa.JSON(), nullable=False),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.create_index(op.f("ix_erasures_finished_at"), "erasures", ["finished_at"])


def downgrade() -> None:
    op.drop_table("erasures")
