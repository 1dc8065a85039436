"""The list of meters in any order is read from an index alone."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_LISTED_BY = ("customer", "address", "area", "gateway_id", "relay_output", "last_contact_at")
_BEFORE = ("gateway_id", "last_contact_at")


def upgrade() -> None:
    for name in _BEFORE:
        op.drop_index(f"ix_meters_{name}", "meters")
    for name in _LISTED_BY:
        op.create_index(_named(name), "meters", [name, "id", "life", "deleted_at"])


def downgrade() -> None:
    for name in _LISTED_BY:
        op.drop_index(_named(name), "meters")
    for name in _BEFORE:
        op.create_index(f"ix_meters_{name}", "meters", [name])


def _named(column: str) -> str:
    return f"ix_meters_{column}_id_life_deleted_at"
