"""The double's customers, SIM cards and what is kept of meters: in memory, with their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.paging import Asked
from hesper_cloud.services.asset_records import (
    AssetQuery,
    ChangeRow,
    CustomerRow,
    ExchangeRow,
    ExchangeWish,
    MeterCard,
    RegisterRow,
    RegisterWish,
    SearchHit,
    SimRow,
)
from hesper_cloud.services.assets import Listed
from hesper_cloud.services.errors import Invalid, NotFound, Refused, Stale

if TYPE_CHECKING:
    from console_double.services import DoubleServices

ICCID = "8988303000000614225"
ACCOUNT = "A-1815"


class Assets:
    """Two kinds of rows that change; meters as the fleet has them."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_
        self.changes: list[ChangeRow] = []
        self.deleted: set[tuple[str, int]] = set()
        now = datetime.now(UTC)
        born = {"version": 1, "created_at": now, "updated_at": now, "deleted_at": None}
        meter = next(iter(all_.fleet.meters))
        self.kept: dict[str, dict[int, Any]] = {
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
            and state in (None, row.state)
        ]
        return Listed(rows, None, len(rows))

    async def get(self, actor: Actor, kind: str, key: str | int) -> Any:
        self._all.check(actor, Permission.READ)
        if kind == "meter":
            return self._card(str(key))
        row = self.kept[kind].get(int(key)) if str(key).isdecimal() else None
        if row is None or (kind, int(key)) in self.deleted:
            raise NotFound(f"there is no {kind} {key}")
        return row

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
        self._all.check(actor, Permission.EDIT_ASSETS)
        if kind == "customer" and not values.get("name"):
            raise Invalid("name: is required")
        key = max(self.kept[kind]) + 1
        empty = dict.fromkeys(asdict(self.kept[kind][1]))
        now = datetime.now(UTC)
        row = type(self.kept[kind][1])(
            **empty
            | {"id": key, "version": 1, "created_at": now, "updated_at": now}
            | ({"meters": ()} if kind == "customer" else {})
            | dict(values)
        )
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
        self._all.check(actor, Permission.EDIT_ASSETS)
        row = await self.get(actor, kind, key)
        if kind == "meter":
            self._note(actor, kind, row.id, "update", {}, dict(values))
            return row
        if version not in (None, row.version):
            raise Stale("it was changed meanwhile; read it again")
        before = {name: getattr(row, name) for name in values}
        self.kept[kind][row.id] = replace(row, version=row.version + 1, **values)
        self._note(actor, kind, row.id, "update", before, dict(values))
        return self.kept[kind][row.id]

    async def delete(
        self, actor: Actor, kind: str, key: str | int, version: int | None = None
    ) -> None:
        self._all.check(actor, Permission.EDIT_ASSETS)
        row = await self.get(actor, kind, key)
        if kind == "customer" and row.meters:
            raise Refused(f"customer {key} is still used: {len(row.meters)} meters")
        self.deleted.add((kind, row.id))

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
