"""Who looked at which household's interval data."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "data_accesses",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first_at", UtcTime(), nullable=False),
        sa.Column("last_at", UtcTime(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("who", sa.String(length=128), nullable=False),
        sa.Column("door", sa.String(length=16), nullable=False),
        sa.Column("operation", sa.String(length=24), nullable=False),
        sa.Column("meter", sa.String(length=32), nullable=True),
        sa.Column("area", sa.String(length=64), nullable=True),
        sa.Column("from_at", UtcTime(), nullable=True),
        sa.Column("to_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_accesses")),
    )
    for columns in (["last_at"], ["meter", "last_at"], ["who", "last_at"]):
        name = op.f(f"ix_data_accesses_{'_'.join(columns)}")
        op.create_index(name, "data_accesses", columns)


def downgrade() -> None:
    op.drop_table("data_accesses")
