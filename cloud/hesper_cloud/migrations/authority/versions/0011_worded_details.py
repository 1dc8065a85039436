"""How texts about commands and batches came about, so that they can be said in other languages."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
_TABLES = ("commands", "batches", "batch_rows")


def upgrade() -> None:
    for table in _TABLES:
        with op.batch_alter_table(table) as altered:
            altered.add_column(sa.Column("said", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    for table in _TABLES:
        with op.batch_alter_table(table) as altered:
            altered.drop_column("said")
