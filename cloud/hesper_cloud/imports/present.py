"""Assets that are there already, as the rows that would change them find them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hesper_cloud.db.assets import Customer, Sim
from hesper_cloud.db.engines import batched
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.imports.rows import Row

FIELDS: dict[str, dict[str, str]] = {
    "customers": {
        "name": "customerName",
        "account_number": "accountNumber",
        "address": "address",
        "phone": "phoneNumber",
        "email": "email",
        "area": "area",
        "customer_type": "customerType",
        "tariff": "tariffPlan",
        "connection_date": "connectionDate",
    },
    "meters": {
        "gateway_id": "concentratorId",
        "meter_type": "meterType",
        "brand": "brand",
        "model": "model",
        "firmware": "firmware",
        "ip_address": "ipAddress",
        "port": "port",
        "area": "area",
    },
    "simcards": {
        "number": "simNumber",
        "iccid": "iccid",
        "imsi": "imsi",
        "msisdn": "msisdn",
        "provider": "provider",
        "state": "status",
        "ip_address": "ipAddress",
        "apn": "apn",
        "data_limit_mb": "dataLimit",
        "activation_date": "activationDate",
    },
    "simuse": {"data_used_mb": "dataUsed"},
}
"""By kind of file: the fields of the registry that its columns fill."""
IDENTITY = {
    "customers": "accountNumber",
    "meters": "meterNumber",
    "simcards": "iccid",
    "simuse": "iccid",
}
"""By kind of file: the column by which an asset is known."""
_BESIDES = {
    "customers": (),
    "meters": (
        "life",
        "customer_id",
        "customer",
        "address",
        "sim_id",
        "template",
        "last_contact_at",
    ),
    "simcards": ("meter", "gateway"),
    "simuse": ("meter", "gateway"),
}


@dataclass(frozen=True, slots=True)
class Present:
    """One asset that is there; ``values`` are by field."""

    key: Any
    version: int
    is_deleted: bool
    area: str | None  # where it is; of a SIM card where it is fitted
    values: dict[str, Any]

    @property
    def place(self) -> str | None:
        """What holds it, of a SIM card that is somewhere."""
        where: str | None = self.values.get("meter") or self.values.get("gateway")
        return where

    def is_seen(self, areas: tuple[str, ...] | None) -> bool:
        """Says whether who is for these areas may change it; a card in stock is everybody's."""
        in_stock = "meter" in self.values and self.place is None
        return areas is None or in_stock or self.area in areas


def present(session: Session, kind: str, rows: Sequence[Row]) -> dict[str, Present]:
    """Looks up what rows name by their identity, the deleted ones too."""
    model, identity, query = _asked(kind)
    names = tuple(dict.fromkeys((*FIELDS[kind], *_BESIDES[kind])))
    query = query.add_columns(*(getattr(model, name) for name in names))
    title = IDENTITY[kind]
    wanted = sorted({value for row in rows if (value := row.values.get(title)) is not None})
    return {
        name: Present(
            key, version, deleted_at is not None, area, dict(zip(names, held, strict=True))
        )
        for some in batched(wanted)
        for name, key, version, deleted_at, area, *held in session.execute(
            query.where(identity.in_(some))
        )
    }


def _asked(kind: str) -> tuple[Any, InstrumentedAttribute[str], Select[*tuple[Any, ...]]]:
    """Returns a kind's table, the column of its identity, and a query for what all kinds have."""
    model: Any = {"customers": Customer, "meters": Meter}.get(kind, Sim)
    identity = {"customers": Customer.account_number, "meters": Meter.id}.get(kind, Sim.iccid)
    area = func.coalesce(Meter.area, Gateway.area) if model is Sim else model.area
    query = select(identity, model.id, model.version, model.deleted_at, area)
    if model is Sim:
        query = query.select_from(Sim).outerjoin(Meter, Meter.id == Sim.meter)
        query = query.outerjoin(Gateway, Gateway.id == Sim.gateway)
    return model, identity, query
