"""Which capture period held before the present one, so that days under it are judged by it."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("meter_profiles") as profiles:
        profiles.add_column(sa.Column("former_period_s", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("meter_profiles") as profiles:
        profiles.drop_column("former_period_s")
