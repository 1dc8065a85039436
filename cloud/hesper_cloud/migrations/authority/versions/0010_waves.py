"""Batches that leave in waves; those of before have a canary and the rest, and the same hash."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_OPEN = ("awaiting_approval", "canary", "running", "paused", "stopped", "quarantined")
_BATCHES = sa.table(
    "batches",
    sa.column("state", sa.String()),
    sa.column("waves", sa.JSON(none_as_null=True)),
    sa.column("detail", sa.Text()),
)


def upgrade() -> None:
    with op.batch_alter_table("batches") as batches:
        batches.add_column(sa.Column("waves", sa.JSON(none_as_null=True), nullable=True))
        batches.add_column(sa.Column("wave", sa.Integer(), nullable=False, server_default="0"))
        batches.add_column(sa.Column("soak_s", sa.Integer(), nullable=True))
        batches.add_column(sa.Column("soaks_until", UtcTime(), nullable=True))


def downgrade() -> None:
    """Goes back: what leaves in waves is ended, as nothing would hold its last wave back."""
    waving = _BATCHES.c.waves.is_not(None) & _BATCHES.c.state.in_(_OPEN)
    ended = {"state": "aborted", "detail": "this version knows no waves; propose it anew"}
    op.execute(sa.update(_BATCHES).where(waving).values(ended))
    with op.batch_alter_table("batches") as batches:
        for column in ("soaks_until", "soak_s", "wave", "waves"):
            batches.drop_column(column)
