"""Tables of what the company owns and serves: customers, SIM cards, areas, models, tariffs.

Meters and gateways themselves are in `registry`. Rows that a person edits carry a version, which
each edit counts up. A row that is deleted stays, with the time; its history stays with it.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Double, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase


class _Edited:
    """Columns of a row that a person keeps."""

    version: Mapped[int] = mapped_column(default=1, server_default="1")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class Customer(_Edited, RegistryBase):
    """One account that takes or feeds in energy."""

    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_number: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    address: Mapped[str | None] = mapped_column(Text)
    phone: Mapped[str | None] = mapped_column(String(64))
    email: Mapped[str | None] = mapped_column(String(254))
    area: Mapped[str | None] = mapped_column(String(64), index=True)
    customer_type: Mapped[str | None] = mapped_column(String(64))
    tariff: Mapped[str | None] = mapped_column(String(64), index=True)
    connection_date: Mapped[date | None]
    state: Mapped[str] = mapped_column(String(16), default="active", server_default="active")


class Sim(_Edited, RegistryBase):
    """One SIM card, wherever it is; at most one of ``meter`` and ``gateway`` holds it."""

    __tablename__ = "sims"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str | None] = mapped_column(String(64), index=True)  # of the company's own
    iccid: Mapped[str] = mapped_column(String(22), unique=True)
    imsi: Mapped[str | None] = mapped_column(String(16), index=True)
    msisdn: Mapped[str | None] = mapped_column(String(24), index=True)
    provider: Mapped[str | None] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(  # stock | active | suspended | retired
        String(16), default="stock", server_default="stock", index=True
    )
    ip_address: Mapped[str | None] = mapped_column(String(45))
    apn: Mapped[str | None] = mapped_column(String(100))
    data_limit_mb: Mapped[int | None]  # a month
    data_used_mb: Mapped[int | None]  # of the running month, as the provider last said
    activation_date: Mapped[date | None]
    meter: Mapped[str | None] = mapped_column(String(32), index=True)
    gateway: Mapped[str | None] = mapped_column(String(63), index=True)


class Area(RegistryBase):
    """One area of the company; meters and customers name it, people may be confined to it."""

    __tablename__ = "areas"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    parent: Mapped[str | None] = mapped_column(String(64), index=True)
    latitude: Mapped[float | None] = mapped_column(Double)  # degrees north, WGS 84
    longitude: Mapped[float | None] = mapped_column(Double)  # degrees east
    version: Mapped[int] = mapped_column(default=1, server_default="1")


class MeterModel(RegistryBase):
    """One model of meter that the company uses, and the template that reads it."""

    __tablename__ = "meter_models"
    __table_args__ = (UniqueConstraint("brand", "model"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    brand: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(64))
    meter_type: Mapped[str | None] = mapped_column(String(64))
    template: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(default=1, server_default="1")


class Tariff(RegistryBase):
    """One tariff plan that customers are on; what it costs is the billing system's business."""

    __tablename__ = "tariffs"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    description: Mapped[str | None] = mapped_column(Text)
    version: Mapped[int] = mapped_column(default=1, server_default="1")


class AssetChange(RegistryBase):
    """One change of one asset: only the fields that changed, written with the change itself."""

    __tablename__ = "asset_changes"
    __table_args__ = (Index(None, "kind", "asset", "id"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))  # meter | gateway | customer | sim | area | …
    asset: Mapped[str] = mapped_column(String(64))  # its id, as text
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(32))  # create | update | install | exchange | …
    before: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    after: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    reason: Mapped[str | None] = mapped_column(Text)


class MeterExchange(RegistryBase):
    """One meter that took another's place, with what both registers showed at that moment."""

    __tablename__ = "meter_exchanges"

    id: Mapped[int] = mapped_column(primary_key=True)
    old_meter: Mapped[str] = mapped_column(String(32), index=True)
    new_meter: Mapped[str] = mapped_column(String(32), index=True)
    at: Mapped[datetime]
    logical_name: Mapped[str] = mapped_column(String(24))  # of the register
    final_register: Mapped[int] = mapped_column(BigInteger)  # of the old meter
    initial_register: Mapped[int] = mapped_column(BigInteger)  # of the new one
    scaler: Mapped[int]
    unit: Mapped[int]
    customer_id: Mapped[int | None]
    who: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(Text)


class RegisterRead(RegistryBase):
    """What a register showed when a meter went into service or out of it."""

    __tablename__ = "register_reads"
    __table_args__ = (Index(None, "meter", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    meter: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]
    occasion: Mapped[str] = mapped_column(String(16))  # first | final
    source: Mapped[str] = mapped_column(String(16))  # meter | person
    logical_name: Mapped[str] = mapped_column(String(24))
    value: Mapped[int] = mapped_column(BigInteger)
    scaler: Mapped[int]
    unit: Mapped[int]
    who: Mapped[str] = mapped_column(String(128))
