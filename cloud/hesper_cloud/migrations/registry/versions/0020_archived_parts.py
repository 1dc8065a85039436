"""Which file of the archive holds what of a day that left the store."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archived_parts",
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("readings", sa.BigInteger(), nullable=False),
        sa.Column("revisions", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False),
        sa.Column("archived_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("day", "part", name=op.f("pk_archived_parts")),
    )


def downgrade() -> None:
    op.drop_table("archived_parts")
