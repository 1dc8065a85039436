"""What a browser session came by, and when API tokens were used."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("agent", sa.String(200), nullable=True))
    op.add_column(
        "sessions",
        sa.Column("method", sa.String(16), nullable=False, server_default="password"),
    )
    op.create_table(
        "token_uses",
        sa.Column("token", sa.String(16), nullable=False),
        sa.Column("last_used_at", UtcTime(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_token_uses")),
    )


def downgrade() -> None:
    op.drop_table("token_uses")
    with op.batch_alter_table("sessions") as sessions:
        sessions.drop_column("method")
        sessions.drop_column("agent")
