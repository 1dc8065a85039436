"""What each consumer last told of itself."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "consumers",
        sa.Column("instance", sa.String(63), nullable=False),
        sa.Column("told_at", UtcTime(), nullable=False),
        sa.Column("hears", sa.Boolean(), nullable=False),
        sa.Column("stores", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("instance", name="pk_consumers"),
    )


def downgrade() -> None:
    op.drop_table("consumers")
