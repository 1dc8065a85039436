"""Days to validate again, estimates and edits, the grid's topology, series from outside."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = (
    "dirty_days",
    "substitutes",
    "elements",
    "element_meters",
    "outside_series",
    "outside_points",
)


def upgrade() -> None:
    op.create_table(
        "dirty_days",
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("marked_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("meter", "day", name=op.f("pk_dirty_days")),
    )
    _create_substitutes()
    _create_topology()
    _create_series()


def _create_substitutes() -> None:
    identity = ("meter", "profile", "logical_name", "captured_at", "version")
    op.create_table(
        "substitutes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("profile", sa.String(length=24), nullable=False),
        sa.Column("logical_name", sa.String(length=24), nullable=False),
        sa.Column("captured_at", UtcTime(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("method", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("scaler", sa.Integer(), nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=128), nullable=True),
        sa.Column("withdrawn_at", UtcTime(), nullable=True),
        sa.Column("withdrawn_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_substitutes")),
        sa.UniqueConstraint(*identity, name=op.f(f"uq_substitutes_{'_'.join(identity)}")),
        sa.UniqueConstraint(
            "made_by", "idempotency_key", name=op.f("uq_substitutes_made_by_idempotency_key")
        ),
    )
    op.create_index("ix_substitutes_meter_captured_at", "substitutes", ["meter", "captured_at"])


def _create_topology() -> None:
    op.create_table(
        "elements",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_elements")),
    )
    op.create_index("ix_elements_parent", "elements", ["parent"])
    op.create_table(
        "element_meters",
        sa.Column("element", sa.String(length=64), nullable=False),
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("from_at", UtcTime(), nullable=False),
        sa.Column("to_at", UtcTime(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("element", "meter", "from_at", name=op.f("pk_element_meters")),
    )


def _create_series() -> None:
    op.create_table(
        "outside_series",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("scaler", sa.Integer(), nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_outside_series")),
    )
    op.create_table(
        "outside_points",
        sa.Column("series", sa.String(length=128), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series", "at", name=op.f("pk_outside_points")),
    )


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)
