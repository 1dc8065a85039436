"""Orders to erase may be of a time: what a meter measured while it was one person's."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("erasures") as erasures:
        for name in ("from_at", "to_at"):
            erasures.add_column(sa.Column(name, UtcTime(), nullable=True))


def downgrade() -> None:
    """Goes back: orders of a time go, as without it they would be of all that a meter measured."""
    op.execute("DELETE FROM erasures WHERE from_at IS NOT NULL OR to_at IS NOT NULL")
    with op.batch_alter_table("erasures") as erasures:
        for name in ("to_at", "from_at"):
            erasures.drop_column(name)
