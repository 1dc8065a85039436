"""Of which meters readings of other gateways are kept apart."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kept_apart",
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("meter", sa.String(), nullable=False),
        sa.Column("profile", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("gateway", "meter", "profile", name=op.f("pk_kept_apart")),
    )


def downgrade() -> None:
    op.drop_table("kept_apart")
