"""Gaps are asked for again and closed with proof; profiles, service levels, exports, backups."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("meter_profiles", "backfills", "service_level_days", "export_runs", "backups")


def upgrade() -> None:
    with op.batch_alter_table("gaps", schema=None) as gaps:
        gaps.add_column(sa.Column("backfill_id", sa.Integer(), nullable=True))
        gaps.add_column(sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
        gaps.add_column(sa.Column("next_try_at", UtcTime(), nullable=True))
        gaps.add_column(sa.Column("reason", sa.Text(), nullable=True))
        gaps.add_column(sa.Column("proof", sa.JSON(), nullable=True))
        gaps.create_index(gaps.f("ix_gaps_backfill_id"), ["backfill_id"], unique=False)
    _create_meter_profiles()
    _create_backfills()
    _create_service_level_days()
    _create_export_runs()
    _create_backups()


def _create_meter_profiles() -> None:
    op.create_table(
        "meter_profiles",
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("profile", sa.String(length=24), nullable=False),
        sa.Column("capture_period_s", sa.Integer(), nullable=True),
        sa.Column("expected_from", UtcTime(), nullable=False),
        sa.Column("period_since", UtcTime(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("meter", "profile", name=op.f("pk_meter_profiles")),
    )


def _create_backfills() -> None:
    op.create_table(
        "backfills",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("gateway", sa.String(length=63), nullable=False),
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("profile", sa.String(length=24), nullable=False),
        sa.Column("from_at", UtcTime(), nullable=False),
        sa.Column("to_at", UtcTime(), nullable=False),
        sa.Column("missing_count", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("request_id", sa.Integer(), nullable=True),
        sa.Column("command_id", sa.String(length=36), nullable=True),
        sa.Column("row_count", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("asked_at", UtcTime(), nullable=False),
        sa.Column("settled_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfills")),
    )
    for columns in (["state"], ["gateway", "asked_at"], ["meter", "profile", "asked_at"]):
        op.create_index(f"ix_backfills_{'_'.join(columns)}", "backfills", columns)


def _create_service_level_days() -> None:
    op.create_table(
        "service_level_days",
        sa.Column("level", sa.String(length=64), nullable=False),
        sa.Column("day", UtcTime(), nullable=False),
        sa.Column("due_count", sa.BigInteger(), nullable=False),
        sa.Column("met_count", sa.BigInteger(), nullable=False),
        sa.Column("computed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("level", "day", name=op.f("pk_service_level_days")),
    )


def _create_export_runs() -> None:
    op.create_table(
        "export_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("from_at", UtcTime(), nullable=False),
        sa.Column("to_at", UtcTime(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.Column("next_try_at", UtcTime(), nullable=True),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_export_runs")),
    )
    op.create_index("ix_export_runs_name_started_at", "export_runs", ["name", "started_at"])


def _create_backups() -> None:
    op.create_table(
        "backups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("octets", sa.BigInteger(), nullable=False),
        sa.Column("contents", sa.JSON(), nullable=False),
        sa.Column("rehearsed_at", UtcTime(), nullable=True),
        sa.Column("rehearsal", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backups")),
    )
    op.create_index("ix_backups_made_at", "backups", ["made_at"])


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)
    op.execute("UPDATE gaps SET state = 'open' WHERE state = 'requested'")
    op.execute("UPDATE gaps SET state = 'closed' WHERE state = 'given_up'")
    with op.batch_alter_table("gaps", schema=None) as gaps:
        gaps.drop_index(gaps.f("ix_gaps_backfill_id"))
        for name in ("proof", "reason", "next_try_at", "tries", "backfill_id"):
            gaps.drop_column(name)
