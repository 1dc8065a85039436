"""The double's customers, SIM cards and what is kept of meters: in memory, with their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.paging import Asked
from hesper_cloud.services.asset_records import (
    AreaRow,
    AssetQuery,
    ChangeRow,
    CustomerRow,
    ElementRow,
    ExchangeRow,
    ExchangeWish,
    GatewayCard,
    MeterCard,
    ModelRow,
    RegisterRow,
    RegisterWish,
    SearchHit,
    SimRow,
    TariffRow,
)
from hesper_cloud.services.assets import Listed
from hesper_cloud.services.errors import Invalid, NotFound, Refused, Stale

if TYPE_CHECKING:
    from console_double.services import DoubleServices

ICCID = "8988303000000614225"
ACCOUNT = "A-1815"


_NUMBERED = ("customer", "sim", "model")


def _keeper(kind: str) -> Permission:
    company = kind in ("area", "model", "tariff", "element")
    return Permission.ADMINISTER if company else Permission.EDIT_ASSETS


def _key(kind: str, row: Any) -> Any:
    return row.name if kind in ("area", "tariff") else row.id


class Assets:
    """Kinds of rows that change; meters and gateways as the fleet has them."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_
        self.changes: list[ChangeRow] = []
        self.deleted: set[tuple[str, Any]] = set()
        self.places: dict[str, dict[str, Any]] = {}
        now = datetime.now(UTC)
        born = {"version": 1, "created_at": now, "updated_at": now, "deleted_at": None}
        meter = next(iter(all_.fleet.meters))
        self.kept: dict[str, dict[Any, Any]] = {
            "customer": {
                1: CustomerRow(
                    1, ACCOUNT, "Ada Byron", "12 Mill lane", None, None, None, None, None, None,
                    "active", (meter,), **born,
                )
            },
            "sim": {
                1: SimRow(
                    1, None, ICCID, None, "+4477009", "Carrier", "active", None, "iot", 100, 85,
                    None, meter, None, **born,
                )
            },
            "area": {
                "North": AreaRow("North", None, 52.53, 13.4, 0, 1),
                "F-000": AreaRow("F-000", "North", None, None, 24, 1),
            },
            "model": {1: ModelRow(1, "Sim", "Hesper SIM-3P", "3-phase", "hesper-sim", 12, 1)},
            "tariff": {"two-rate": TariffRow("two-rate", "Day and night", 41, 1)},
            "element": {
                "f-000": ElementRow("f-000", "feeder", "Feeder 000", "north", 30),
                "t-17": ElementRow("t-17", "transformer", "Transformer 17", "f-000", 20),
            },
        }  # fmt: skip

    async def page(
        self, actor: Actor, kind: str, query: AssetQuery, asked: Asked | None = None
    ) -> Listed[Any]:
        self._all.check(actor, Permission.READ)
        state = query.filters.get("state")
        rows = [
            row
            for key, row in self.kept[kind].items()
            if (kind, key) not in self.deleted
            and query.search.lower() in str(asdict(row)).lower()
            and state in (None, getattr(row, "state", None))
        ]
        return Listed(rows, None, len(rows))

    async def get(self, actor: Actor, kind: str, key: str | int) -> Any:
        self._all.check(actor, Permission.READ)
        if kind == "meter":
            return self._card(str(key))
        if kind == "gateway":
            return self._gateway(str(key))
        known = int(key) if str(key).isdecimal() and kind in _NUMBERED else key
        row = self.kept[kind].get(known)
        if row is None or (kind, known) in self.deleted:
            raise NotFound(f"there is no {kind} {key}")
        return row

    def _gateway(self, gateway: str) -> GatewayCard:
        if gateway not in self._all.fleet.gateways:
            raise NotFound(f"there is no gateway {gateway}")
        place = self.places.get(gateway, {"address": "Substation 4", "area": "North"})
        return GatewayCard(
            gateway, "installed", place.get("address"), place.get("area"), None, None, (ICCID,),
            1, None,
        )  # fmt: skip

    def _card(self, meter: str) -> MeterCard:
        row = self._all.fleet.meters.get(meter)
        if row is None:
            raise NotFound(f"there is no meter {meter}")
        mine = meter in self.kept["customer"][1].meters
        life = "removed" if self._all.meter_life.replaced.get(meter) else "commissioned"
        life = "installed" if meter in self._all.meter_life.installed else life
        return MeterCard(
            meter, life, row.gateway, "Sim", row.model, None, row.firmware, None, None, None,
            1 if mine else None, row.customer, ACCOUNT if mine else None, 1 if mine else None,
            ICCID if mine else None, row.address, row.area, None, None, row.life_support, 1, None,
        )  # fmt: skip

    async def create(self, actor: Actor, kind: str, values: Mapping[str, Any]) -> Any:
        self._all.check(actor, _keeper(kind))
        if kind in ("customer", "area", "tariff") and not values.get("name"):
            raise Invalid("name: is required")
        first = next(iter(self.kept[kind].values()))
        key = max(self.kept[kind]) + 1 if kind in _NUMBERED else values.get("id", values["name"])
        now = datetime.now(UTC)
        born = {"id": key, "version": 1, "created_at": now, "updated_at": now, "customers": 0}
        empty = dict.fromkeys(asdict(first))
        own = {name: value for name, value in born.items() if name in empty}
        served = {"meters": () if kind == "customer" else 0} if "meters" in empty else {}
        row = type(first)(**empty | own | served | dict(values))
        self.kept[kind][key] = row
        self._note(actor, kind, key, "create", {}, dict(values))
        return row

    async def change(
        self,
        actor: Actor,
        kind: str,
        key: str | int,
        values: Mapping[str, Any],
        version: int | None = None,
    ) -> Any:
        self._all.check(actor, _keeper(kind))
        row = await self.get(actor, kind, key)
        if kind in ("meter", "gateway"):
            self.places[str(key)] = dict(values)
            if kind == "meter" and "address" in values:
                self._all.fleet.meters[row.id] = replace(
                    self._all.fleet.meters[row.id], address=values["address"]
                )
            self._note(actor, kind, row.id, "update", {}, dict(values))
            return await self.get(actor, kind, key)
        if version is not None and version != row.version:
            raise Stale("it was changed meanwhile; read it again")
        before = {name: getattr(row, name) for name in values}
        turned = {"version": row.version + 1} if hasattr(row, "version") else {}
        self.kept[kind][_key(kind, row)] = replace(row, **turned, **values)
        self._note(actor, kind, _key(kind, row), "update", before, dict(values))
        return self.kept[kind][_key(kind, row)]

    async def delete(
        self, actor: Actor, kind: str, key: str | int, version: int | None = None
    ) -> None:
        self._all.check(actor, _keeper(kind))
        row = await self.get(actor, kind, key)
        used = getattr(row, "meters", ())
        if used:
            count = used if isinstance(used, int) else len(used)
            raise Refused(f"{kind} {key} is still used: {count} meters")
        self.deleted.add((kind, _key(kind, row)))

    async def history(
        self, actor: Actor, kind: str, key: str | int, before: int | None, limit: int
    ) -> Sequence[ChangeRow]:
        self._all.check(actor, Permission.READ)
        mine = [row for row in self.changes if (row.kind, row.asset) == (kind, str(key))]
        return mine[::-1][:limit]

    async def search(self, actor: Actor, text: str, each: int) -> Sequence[SearchHit]:
        self._all.check(actor, Permission.READ)
        found = [
            SearchHit("customer", str(row.id), row.name, row.account_number, f"/customers/{row.id}")
            for row in self.kept["customer"].values()
            if text.lower() in str(asdict(row)).lower()
        ]
        return found[:each]

    def _note(
        self, actor: Actor, kind: str, key: int | str, action: str, before: Any, after: Any
    ) -> None:
        number, now = len(self.changes) + 1, datetime.now(UTC)
        self.changes.append(
            ChangeRow(number, kind, str(key), now, actor.username, action, before, after, None)
        )


class MeterLife:
    """Meters take each other's place."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_
        self.replaced: dict[str, ExchangeRow] = {}
        self.installed: set[str] = set()

    async def commission(
        self, actor: Actor, meter: str, first: RegisterWish | None = None
    ) -> MeterCard:
        self._all.check(actor, Permission.EDIT_ASSETS)
        if first is None:
            raise Refused(f"meter {meter} has sent no register since it was installed")
        self.installed.discard(meter)
        card: MeterCard = await self._all.assets.get(actor, "meter", meter)
        return card

    async def exchange(
        self, actor: Actor, meter: str, wish: ExchangeWish, version: int | None = None
    ) -> ExchangeRow:
        self._all.check(actor, Permission.EDIT_ASSETS)
        if wish.new_meter not in self._all.fleet.meters:
            raise NotFound(f"there is no meter {wish.new_meter}")
        final = wish.final
        row = ExchangeRow(
            1, meter, wish.new_meter, final.at, final.logical_name, final.value,
            wish.initial_register, final.scaler, final.unit, "Wh", actor.username, wish.reason,
        )  # fmt: skip
        self.replaced[meter] = row
        return row

    async def exchanges(self, actor: Actor, meter: str) -> Sequence[ExchangeRow]:
        self._all.check(actor, Permission.READ)
        return [row for row in self.replaced.values() if meter in (row.old_meter, row.new_meter)]

    async def registers(self, actor: Actor, meter: str) -> Sequence[RegisterRow]:
        self._all.check(actor, Permission.READ)
        return []
