"""Imports may change what is there; the dry run counts how many rows would."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("import_files") as files:
        files.add_column(
            sa.Column("existing", sa.String(8), nullable=False, server_default="refuse")
        )
        for name in ("change_count", "same_count"):
            files.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("import_files") as files:
        for name in ("same_count", "change_count", "existing"):
            files.drop_column(name)
