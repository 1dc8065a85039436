"""The life of alerts, what hangs together, and where they are delivered."""

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = (
    "delivery_cursors",
    "delivery_attempts",
    "deliveries",
    "delivery_routes",
    "delivery_targets",
    "alert_selections",
    "alert_changes",
    "alert_notes",
)
_ALERT_INDEXES = (
    ["state", "suppressed", "priority"],
    ["group_key"],
    ["parent_id"],
    ["shelved_until"],
    ["changed_at"],
)


def _added() -> tuple[sa.Column[object], ...]:
    """Returns the columns that alerts gain."""
    return (
        sa.Column("element", sa.String(length=64), nullable=True),
        sa.Column("area", sa.String(), nullable=True),
        sa.Column("symptom", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("group_key", sa.String(length=160), nullable=True),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("suppressed", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("priority", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("affected_count", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("count", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("last_seen_at", UtcTime(), nullable=True),
        sa.Column("shelved_until", UtcTime(), nullable=True),
        sa.Column("shelved_by", sa.String(), nullable=True),
        sa.Column("shelved_reason", sa.Text(), nullable=True),
        sa.Column("assigned_to", sa.String(), nullable=True),
        sa.Column("extent", sa.JSON(), nullable=True),
        sa.Column("changed_at", UtcTime(), nullable=True),
    )


def upgrade() -> None:
    with op.batch_alter_table("alerts", schema=None) as alerts:
        for column in _added():
            alerts.add_column(column)
        for columns in _ALERT_INDEXES:
            alerts.create_index(f"ix_alerts_{'_'.join(columns)}", columns)
    _alerting()
    _delivery()


def _alerting() -> None:
    op.create_table(
        "alert_notes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alert_id", sa.Integer(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        _of_alert("alert_notes"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_notes")),
    )
    op.create_index(op.f("ix_alert_notes_alert_id"), "alert_notes", ["alert_id"])
    op.create_table(
        "alert_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("alert_id", sa.Integer(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("who", sa.String(), nullable=True),
        sa.Column("action", sa.String(length=24), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        _of_alert("alert_changes"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_changes")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_alert_changes_alert_id"), "alert_changes", ["alert_id"])
    op.create_index(op.f("ix_alert_changes_action_at"), "alert_changes", ["action", "at"])
    op.create_table(
        "alert_selections",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("filter", sa.JSON(), nullable=False),
        sa.Column("alerts", sa.JSON(), nullable=False),
        sa.Column("used_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_selections")),
    )
    op.create_index(op.f("ix_alert_selections_made_at"), "alert_selections", ["made_at"])


def _of_alert(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_alert_id")
    return sa.ForeignKeyConstraint(["alert_id"], ["alerts.id"], name=name, ondelete="CASCADE")


def _delivery() -> None:
    op.create_table(
        "delivery_targets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        sa.Column("succeeded_at", UtcTime(), nullable=True),
        sa.Column("failed_at", UtcTime(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_targets")),
        sa.UniqueConstraint("name", name=op.f("uq_delivery_targets_name")),
    )
    op.create_table(
        "delivery_routes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", UtcTime(), nullable=False),
        _of_target("delivery_routes"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_routes")),
        sa.UniqueConstraint("name", name=op.f("uq_delivery_routes_name")),
    )
    op.create_index(op.f("ix_delivery_routes_target_id"), "delivery_routes", ["target_id"])
    _messages()


def _messages() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(length=36), nullable=False),
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("route_id", sa.Integer(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("entries", sa.JSON(), nullable=False),
        sa.Column("made_at", UtcTime(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_at", UtcTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        _of_target("deliveries"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("message_id", name=op.f("uq_deliveries_message_id")),
    )
    for columns in (["state", "due_at"], ["target_id", "id"], ["route_id"], ["made_at"]):
        op.create_index(f"ix_deliveries_{'_'.join(columns)}", "deliveries", columns)
    op.create_table(
        "delivery_attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Integer(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name=op.f("fk_delivery_attempts_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_attempts")),
    )
    for column in ("delivery_id", "at"):
        op.create_index(op.f(f"ix_delivery_attempts_{column}"), "delivery_attempts", [column])
    op.create_table(
        "delivery_cursors",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_delivery_cursors")),
    )


def _of_target(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_target_id")
    return sa.ForeignKeyConstraint(
        ["target_id"], ["delivery_targets.id"], name=name, ondelete="CASCADE"
    )


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)
    op.execute(
        "UPDATE alerts SET state = 'acknowledged' "
        "WHERE state = 'shelved' AND acknowledged_at IS NOT NULL"
    )
    op.execute("UPDATE alerts SET state = 'new' WHERE state = 'shelved'")
    with op.batch_alter_table("alerts", schema=None) as alerts:
        for columns in _ALERT_INDEXES:
            alerts.drop_index(f"ix_alerts_{'_'.join(columns)}")
        for column in _added():
            alerts.drop_column(column.name)
