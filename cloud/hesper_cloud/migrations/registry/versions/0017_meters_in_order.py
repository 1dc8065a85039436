"""The list of meters in any order, and which of them are silent, are read from indexes alone."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_LISTED_BY = ("customer", "address", "area", "gateway_id", "relay_output", "last_contact_at")
_LISTED = ("life", "deleted_at")
_SILENCE = "ix_meters_capture_period_s_last_contact_at_life_deleted_at"
_BEFORE = ("gateway_id", "last_contact_at")


def upgrade() -> None:
    for name in _BEFORE:
        op.drop_index(f"ix_meters_{name}", "meters")
    for name in _LISTED_BY:
        op.create_index(_named(name), "meters", [name, "id", *_LISTED])
    op.create_index(_SILENCE, "meters", ["capture_period_s", "last_contact_at", *_LISTED])


def downgrade() -> None:
    op.drop_index(_SILENCE, "meters")
    for name in _LISTED_BY:
        op.drop_index(_named(name), "meters")
    for name in _BEFORE:
        op.create_index(f"ix_meters_{name}", "meters", [name])


def _named(column: str) -> str:
    return f"ix_meters_{column}_id_life_deleted_at"
