"""Commands of late are found by an index, by what they do, by gateway, and those that changed."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_commands_kind_created_at": ["kind", "created_at"],
    "ix_commands_gateway_state_created_at": ["gateway", "state", "created_at"],
    "ix_commands_updated_at_state": ["updated_at", "state"],
}


def upgrade() -> None:
    for name, columns in _INDEXES.items():
        op.create_index(name, "commands", columns)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, "commands")
