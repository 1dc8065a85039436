"""Since when an account is what somebody made of it over the network."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_HELD = timedelta(days=1)
_USERS = sa.table(
    "users",
    sa.column("role", sa.String()),
    sa.column("disabled", sa.Boolean()),
    sa.column("given_at", UtcTime()),
)


def upgrade() -> None:
    with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("given_at", UtcTime(), nullable=True))


def downgrade() -> None:
    """Goes back: accounts given within a day are disabled, as nothing would hold them back."""
    lately = (_USERS.c.given_at > datetime.now(UTC) - _HELD) & (_USERS.c.role != "admin")
    op.execute(sa.update(_USERS).where(lately).values(disabled=True))
    with op.batch_alter_table("users") as users:
        users.drop_column("given_at")
