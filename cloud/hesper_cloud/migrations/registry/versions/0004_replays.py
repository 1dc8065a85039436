"""Dead letters that are tried again, and batches that gateways are asked for again."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("dead_letters") as table:
        table.add_column(sa.Column("replay_asked_at", UtcTime(), nullable=True))
        table.add_column(sa.Column("replayed_at", UtcTime(), nullable=True))
    op.create_table(
        "again_asks",
        sa.Column("gateway", sa.String(length=63), nullable=False),
        sa.Column("epoch", sa.String(length=16), nullable=False),
        sa.Column("from_sequence", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", UtcTime(), nullable=False),
        sa.Column("sent_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("gateway", "epoch", name=op.f("pk_again_asks")),
    )


def downgrade() -> None:
    op.drop_table("again_asks")
    with op.batch_alter_table("dead_letters") as table:
        table.drop_column("replayed_at")
        table.drop_column("replay_asked_at")
