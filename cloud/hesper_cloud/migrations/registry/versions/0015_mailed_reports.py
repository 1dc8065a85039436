"""Schedules of reports have versions, and a target that each report is sent to."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
_KEY = "fk_report_schedules_target_id"


def upgrade() -> None:
    with op.batch_alter_table("report_schedules") as schedules:
        schedules.add_column(sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
        schedules.add_column(sa.Column("target_id", sa.Integer(), nullable=True))
        schedules.create_foreign_key(
            op.f(_KEY), "delivery_targets", ["target_id"], ["id"], ondelete="SET NULL"
        )


def downgrade() -> None:
    with op.batch_alter_table("report_schedules") as schedules:
        schedules.drop_constraint(op.f(_KEY), type_="foreignkey")
        schedules.drop_column("target_id")
        schedules.drop_column("version")
