"""The kinds of assets that people keep, and what each of their fields may hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hesper_contracts.frame import Refused
from hesper_contracts.topics import gateway_id, meter_id

from hesper_cloud.assets import checks
from hesper_cloud.assets.checks import Check, NotTaken
from hesper_cloud.assets.errors import WrongField
from hesper_cloud.assets.lives import GATEWAY as GATEWAY_LIVES
from hesper_cloud.assets.lives import SIM_STATES, WAITING
from hesper_cloud.db.assets import Area, Customer, MeterModel, Sim, Tariff
from hesper_cloud.db.energy import Element
from hesper_cloud.db.registry import Gateway, Meter, RegistryBase
from hesper_cloud.worded import told_by, worded

_NAME = checks.text(64)
_PLACE: Mapping[str, Check] = {
    "address": checks.text(500),
    "area": _NAME,
    "latitude": checks.latitude,
    "longitude": checks.longitude,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of asset.

    ``references`` are fields that name a row of another table by its key; ``unique`` are fields
    of which no two rows have the same; ``personal`` are those that tell of a person.
    """

    name: str
    model: type[RegistryBase]
    key: str
    fields: Mapping[str, Check]
    required: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    references: Mapping[str, type[RegistryBase]] = field(default_factory=dict)
    personal: tuple[str, ...] = ()
    version: str | None = "version"

    def checked(self, values: Mapping[str, Any], *, whole: bool = False) -> dict[str, Any]:
        """Returns values as they are kept.

        Args:
            values: By field; None empties one.
            whole: They are all that a new row has.

        Raises:
            WrongField: there is no such field, it does not take this, or one is missing.
        """
        kept: dict[str, Any] = {}
        for name, value in values.items():
            if name not in self.fields:
                raise WrongField(
                    name,
                    worded("a {value} has no such field that may be set here", value=self.name),
                )
            try:
                kept[name] = self.fields[name](value)
            except NotTaken as error:
                raise WrongField(name, told_by(error)) from None
        for name in self.required:
            if kept.get(name, None if whole else "") is None:
                raise WrongField(name, "is required")
        return kept


def _named_by(check: Any) -> Check:
    """Returns a check for what names a meter or gateway on the broker."""

    def checked(value: Any) -> str | None:
        kept: str | None = checks.text(63)(value)
        try:
            return None if kept is None else str(check(kept))
        except Refused as error:
            raise NotTaken(told_by(error)) from None

    return checked


serial = _named_by(meter_id)
gateway_name = _named_by(gateway_id)
"""Checks for the names of meters and gateways, as they stand in topics."""


def _signed_by(_: Any) -> Any:
    raise NotTaken(
        "commands are signed by it; it changes by commissioning alone (hesper-cloud meter add), "
        "and a protection is added by protecting the meter"
    )


_SIGNED_BY: Mapping[str, Check] = dict.fromkeys(
    ("gateway", "gateway_id", "logical_device_name", "life_support"), _signed_by
)

CUSTOMER = Kind(
    name="customer",
    model=Customer,
    key="id",
    fields={
        "account_number": _NAME,
        "name": checks.text(200),
        "address": checks.text(500),
        "phone": _NAME,
        "email": checks.email,
        "area": _NAME,
        "customer_type": _NAME,
        "tariff": _NAME,
        "connection_date": checks.day,
        "state": checks.choice(("active", "inactive")),
    },
    required=("account_number", "name"),
    unique=(("account_number",),),
    references={"area": Area, "tariff": Tariff},
    personal=("account_number", "name", "address", "phone", "email"),
)
SIM = Kind(
    name="sim",
    model=Sim,
    key="id",
    fields={
        "number": _NAME,
        "iccid": checks.iccid,
        "imsi": checks.imsi,
        "msisdn": checks.msisdn,
        "provider": _NAME,
        "state": checks.choice(SIM_STATES),
        "ip_address": checks.address,
        "apn": checks.text(100),
        "data_limit_mb": checks.whole(0),
        "data_used_mb": checks.whole(0),
        "activation_date": checks.day,
        "meter": serial,
        "gateway": gateway_name,
    },
    required=("iccid",),
    unique=(("iccid",), ("imsi",), ("msisdn",)),
    references={"meter": Meter, "gateway": Gateway},
)
METER = Kind(
    name="meter",
    model=Meter,
    key="id",
    fields={
        "id": serial,
        "life": checks.choice(WAITING),
        "brand": _NAME,
        "model": _NAME,
        "meter_type": _NAME,
        "firmware": _NAME,
        "template": _NAME,
        "ip_address": checks.address,
        "port": checks.port,
        "customer_id": checks.whole(1),
        "sim_id": checks.whole(1),
        **_PLACE,
        **_SIGNED_BY,
    },
    required=("id",),
    unique=(("id",),),
    references={"area": Area, "customer_id": Customer, "sim_id": Sim},
    personal=("customer", "customer_id", "address", "latitude", "longitude"),
)
GATEWAY = Kind(
    name="gateway",
    model=Gateway,
    key="id",
    fields={"id": gateway_name, "life": checks.choice(tuple(GATEWAY_LIVES)), **_PLACE},
    required=("id",),
    unique=(("id",),),
    references={"area": Area},
    version="revision",
)
AREA = Kind(
    name="area",
    model=Area,
    key="name",
    fields={
        "name": checks.key,
        "parent": _NAME,
        "latitude": checks.latitude,
        "longitude": checks.longitude,
    },
    required=("name",),
    unique=(("name",),),
    references={"parent": Area},
)
MODEL = Kind(
    name="model",
    model=MeterModel,
    key="id",
    fields={"brand": _NAME, "model": _NAME, "meter_type": _NAME, "template": _NAME},
    required=("brand", "model"),
    unique=(("brand", "model"),),
)
TARIFF = Kind(
    name="tariff",
    model=Tariff,
    key="name",
    fields={"name": checks.key, "description": checks.text(500)},
    required=("name",),
    unique=(("name",),),
)
ELEMENT = Kind(
    name="element",
    model=Element,
    key="id",
    fields={
        "id": checks.key,
        "kind": checks.choice(("area", "feeder", "transformer")),
        "name": checks.text(200),
        "parent": _NAME,
    },
    required=("id", "kind", "name"),
    unique=(("id",),),
    references={"parent": Element},
    version=None,
)
KINDS = {each.name: each for each in (CUSTOMER, SIM, METER, GATEWAY, AREA, MODEL, TARIFF, ELEMENT)}
