"""Rules as data with what they remember, outages, and events found by code."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLES = (
    "rules",
    "rule_versions",
    "rule_memories",
    "rule_trials",
    "outages",
    "power_losses",
)


def upgrade() -> None:
    _create_rules()
    _create_what_rules_remember()
    _create_outages()
    op.create_index(op.f("ix_events_code_occurred_at"), "events", ["code", "occurred_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_events_code_occurred_at"), table_name="events")
    for table in reversed(_TABLES):
        op.drop_table(table)


def _create_rules() -> None:
    op.create_table(
        "rules",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("updated_by", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rules")),
    )
    op.create_table(
        "rule_versions",
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("made_by", sa.String(length=128), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "version", name=op.f("pk_rule_versions")),
    )


def _create_what_rules_remember() -> None:
    op.create_table(
        "rule_memories",
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("phase", sa.String(length=8), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("rule", "subject", name=op.f("pk_rule_memories")),
    )
    op.create_index(op.f("ix_rule_memories_rule_phase"), "rule_memories", ["rule", "phase"])
    op.create_table(
        "rule_trials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(length=80), nullable=False),
        sa.Column("raised_at", UtcTime(), nullable=False),
        sa.Column("cleared_at", UtcTime(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_trials")),
    )
    op.create_index(op.f("ix_rule_trials_rule_raised_at"), "rule_trials", ["rule", "raised_at"])


def _create_outages() -> None:
    op.create_table(
        "outages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("place", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("area", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("began_at", UtcTime(), nullable=False),
        sa.Column("noticed_at", UtcTime(), nullable=False),
        sa.Column("restored_at", UtcTime(), nullable=True),
        sa.Column("merged_into", sa.Integer(), nullable=True),
        sa.Column("lost_count", sa.Integer(), nullable=False),
        sa.Column("back_count", sa.Integer(), nullable=False),
        sa.Column("customer_count", sa.Integer(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outages")),
    )
    for columns in (["state", "began_at"], ["place"], ["area"], ["began_at"]):
        op.create_index(op.f(f"ix_outages_{'_'.join(columns)}"), "outages", columns)
    op.create_table(
        "power_losses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meter", sa.String(length=32), nullable=False),
        sa.Column("lost_at", UtcTime(), nullable=False),
        sa.Column("back_at", UtcTime(), nullable=True),
        sa.Column("proof", sa.String(length=16), nullable=True),
        sa.Column("outage", sa.Integer(), nullable=True),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_power_losses")),
        sa.UniqueConstraint("meter", "lost_at", name=op.f("uq_power_losses_meter_lost_at")),
    )
    for columns in (["outage", "meter"], ["settled", "lost_at"]):
        op.create_index(op.f(f"ix_power_losses_{'_'.join(columns)}"), "power_losses", columns)
