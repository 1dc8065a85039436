"""Gaps in a state are found by their time: those that were given up stay for ever."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_gaps_state", "gaps")
    op.create_index("ix_gaps_state_to_at", "gaps", ["state", "to_at"])


def downgrade() -> None:
    op.drop_index("ix_gaps_state_to_at", "gaps")
    op.create_index("ix_gaps_state", "gaps", ["state"])
