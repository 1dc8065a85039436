"""What the company owns and serves: customers, SIM cards, areas, models, tariffs; lives."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from hesper_cloud.db.columns import UtcTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = (
    "customers",
    "sims",
    "areas",
    "meter_models",
    "tariffs",
    "asset_changes",
    "meter_exchanges",
    "register_reads",
)
_METER: tuple[tuple[str, Any], ...] = (
    ("brand", sa.String(64)),
    ("meter_type", sa.String(64)),
    ("ip_address", sa.String(45)),
    ("port", sa.Integer()),
    ("customer_id", sa.Integer()),
    ("sim_id", sa.Integer()),
    ("latitude", sa.Double()),
    ("longitude", sa.Double()),
    ("deleted_at", UtcTime()),
)
_GATEWAY: tuple[tuple[str, Any], ...] = (
    ("address", sa.Text()),
    ("area", sa.String(64)),
    ("latitude", sa.Double()),
    ("longitude", sa.Double()),
    ("deleted_at", UtcTime()),
)
_LINKS = (("customer_id", "customers"), ("sim_id", "sims"))


def upgrade() -> None:
    _create_customers()
    _create_sims()
    _create_lists()
    _create_changes()
    _create_registers()
    _extend_meters()
    _extend_gateways()
    _fill()


def _version() -> sa.Column[int]:
    return sa.Column("version", sa.Integer(), nullable=False, server_default="1")


def _edited() -> list[sa.Column[Any]]:
    return [
        _version(),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=True),
    ]


def _create_customers() -> None:
    op.create_table(
        "customers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_number", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("phone", sa.String(64), nullable=True),
        sa.Column("email", sa.String(254), nullable=True),
        sa.Column("area", sa.String(64), nullable=True),
        sa.Column("customer_type", sa.String(64), nullable=True),
        sa.Column("tariff", sa.String(64), nullable=True),
        sa.Column("connection_date", sa.Date(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False, server_default="active"),
        *_edited(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customers")),
        sa.UniqueConstraint("account_number", name=op.f("uq_customers_account_number")),
    )
    for column in ("name", "area", "tariff"):
        op.create_index(op.f(f"ix_customers_{column}"), "customers", [column])


def _create_sims() -> None:
    op.create_table(
        "sims",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(64), nullable=True),
        sa.Column("iccid", sa.String(22), nullable=False),
        sa.Column("imsi", sa.String(16), nullable=True),
        sa.Column("msisdn", sa.String(24), nullable=True),
        sa.Column("provider", sa.String(64), nullable=True),
        sa.Column("state", sa.String(16), nullable=False, server_default="stock"),
        sa.Column("ip_address", sa.String(45), nullable=True),
        sa.Column("apn", sa.String(100), nullable=True),
        sa.Column("data_limit_mb", sa.Integer(), nullable=True),
        sa.Column("data_used_mb", sa.Integer(), nullable=True),
        sa.Column("activation_date", sa.Date(), nullable=True),
        sa.Column("meter", sa.String(32), nullable=True),
        sa.Column("gateway", sa.String(63), nullable=True),
        *_edited(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sims")),
        sa.UniqueConstraint("iccid", name=op.f("uq_sims_iccid")),
    )
    for column in ("number", "imsi", "msisdn", "state", "meter", "gateway"):
        op.create_index(op.f(f"ix_sims_{column}"), "sims", [column])


def _create_lists() -> None:
    op.create_table(
        "areas",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("parent", sa.String(64), nullable=True),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        _version(),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_areas")),
    )
    op.create_index(op.f("ix_areas_parent"), "areas", ["parent"])
    op.create_table(
        "meter_models",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("brand", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("meter_type", sa.String(64), nullable=True),
        sa.Column("template", sa.String(64), nullable=True),
        _version(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter_models")),
        sa.UniqueConstraint("brand", "model", name=op.f("uq_meter_models_brand_model")),
    )
    op.create_table(
        "tariffs",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        _version(),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tariffs")),
    )


def _create_changes() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "asset_changes",
        sa.Column("id", number, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("asset", sa.String(64), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asset_changes")),
    )
    op.create_index("ix_asset_changes_kind_asset_id", "asset_changes", ["kind", "asset", "id"])


def _create_registers() -> None:
    op.create_table(
        "meter_exchanges",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("old_meter", sa.String(32), nullable=False),
        sa.Column("new_meter", sa.String(32), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("logical_name", sa.String(24), nullable=False),
        sa.Column("final_register", sa.BigInteger(), nullable=False),
        sa.Column("initial_register", sa.BigInteger(), nullable=False),
        sa.Column("scaler", sa.Integer(), nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=True),
        sa.Column("who", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter_exchanges")),
    )
    for column in ("old_meter", "new_meter"):
        op.create_index(op.f(f"ix_meter_exchanges_{column}"), "meter_exchanges", [column])
    op.create_table(
        "register_reads",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meter", sa.String(32), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("occasion", sa.String(16), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("logical_name", sa.String(24), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("scaler", sa.Integer(), nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("who", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_reads")),
    )
    op.create_index("ix_register_reads_meter_at", "register_reads", ["meter", "at"])


def _life() -> sa.Column[str]:
    return sa.Column("life", sa.String(16), nullable=False, server_default="installed")


def _extend_meters() -> None:
    with op.batch_alter_table("meters") as table:
        table.add_column(_life())
        table.add_column(_version())
        for name, kind in _METER:
            table.add_column(sa.Column(name, kind, nullable=True))
        for name, target in _LINKS:
            table.create_foreign_key(op.f(f"fk_meters_{name}"), target, [name], ["id"])
            table.create_index(op.f(f"ix_meters_{name}"), [name])


def _extend_gateways() -> None:
    with op.batch_alter_table("gateways") as table:
        table.add_column(_life())
        table.add_column(sa.Column("revision", sa.Integer(), nullable=False, server_default="1"))
        for name, kind in _GATEWAY:
            table.add_column(sa.Column(name, kind, nullable=True))


def _fill() -> None:
    """Meters that a person commissioned stay so; areas that meters name become areas."""
    op.execute("UPDATE meters SET life = 'commissioned' WHERE state = 'commissioned'")
    op.execute(
        "INSERT INTO areas (name) SELECT DISTINCT substr(area, 1, 64) FROM meters"
        " WHERE area IS NOT NULL AND area <> ''"
    )


def downgrade() -> None:
    with op.batch_alter_table("gateways") as table:
        for name in ("life", "revision", *(name for name, _ in _GATEWAY)):
            table.drop_column(name)
    with op.batch_alter_table("meters") as table:
        for name, _ in _LINKS:
            table.drop_index(op.f(f"ix_meters_{name}"))
            table.drop_constraint(op.f(f"fk_meters_{name}"), type_="foreignkey")
        for name in ("life", "version", *(name for name, _ in _METER)):
            table.drop_column(name)
    for table_name in reversed(_TABLES):
        op.drop_table(table_name)
