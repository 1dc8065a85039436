"""How the title of a job came about, so that it can be said in another language."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("long_jobs") as jobs:
        jobs.add_column(sa.Column("said", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("long_jobs") as jobs:
        jobs.drop_column("said")
