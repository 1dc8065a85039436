"""Places in the grid that were written down ahead: a meter hangs where it does now."""

from datetime import UTC, datetime, timedelta

import pytest
from hesper_cloud.alerting import grid
from hesper_cloud.db.energy import ElementMeter
from hesper_cloud.db.engines import reading
from hesper_cloud.services.asset_records import AssetQuery, ExchangeWish, RegisterWish
from hesper_cloud.services.records import MeterQuery
from sqlalchemy import select

METER, NEW = "HES12642984", "HES20000001"
NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO, TOMORROW = NOW - timedelta(days=90), NOW + timedelta(days=1)


@pytest.fixture
async def moving(services, cleo):
    """A meter on the old feeder that moves to the new one tomorrow."""
    for name in ("old", "new"):
        await services.assets.create(cleo, "element", {"id": name, "kind": "feeder", "name": name})
    await services.assets.place(cleo, "old", METER, "customer", LONG_AGO)
    await services.assets.place(cleo, "new", METER, "customer", TOMORROW)
    return services


def places(head_end) -> list[tuple[str, str, datetime | None]]:
    with reading(head_end.databases.registry) as session:
        found = session.scalars(select(ElementMeter).order_by(ElementMeter.from_at))
        return [(row.element, row.meter, row.to_at) for row in found]


async def test_lists_and_the_map_show_a_meter_where_it_hangs_now(moving, cleo):
    async def at(feeder: str) -> list[str]:
        return [row.id for row in (await moving.meters.page(cleo, MeterQuery(feeder=feeder))).rows]

    assert (await at("old"), await at("new")) == ([METER], [])
    branches = await moving.geography.branches(cleo)
    assert {each.id: each.count for each in branches} == {"old": 1, "new": 0}
    page = await moving.assets.page(cleo, "element", AssetQuery())
    assert {row.id: row.meters for row in page.rows} == {"old": 1, "new": 0}


def test_alerts_are_grouped_by_where_it_hangs(moving, head_end):
    with reading(head_end.databases.registry) as session:
        now, then = (grid.load(session, [METER], at) for at in (NOW, TOMORROW))
    assert (now.element_of[METER], now.sizes["old"], now.sizes["new"]) == ("old", 1, 0)
    assert (then.element_of[METER], then.sizes["old"], then.sizes["new"]) == ("new", 0, 1)


async def test_a_meter_that_is_removed_before_goes_from_both_at_once(moving, cleo, head_end):
    await moving.meter_life.remove(cleo, METER, "the house is empty")
    ((element, _, to_at),) = places(head_end)
    assert element == "old"
    assert to_at is not None
    assert to_at < TOMORROW


async def test_who_takes_its_place_leaves_it_when_it_would_have(services, cleo, head_end):
    await services.assets.create(cleo, "element", {"id": "old", "kind": "feeder", "name": "old"})
    await services.assets.place(cleo, "old", METER, "customer", LONG_AGO)
    await services.assets.place(cleo, "old", METER, None, TOMORROW)
    await services.assets.create(cleo, "meter", {"id": NEW, "life": "stock"})
    at = NOW - timedelta(hours=1)
    wish = ExchangeWish(NEW, RegisterWish(5, at), 0, "it was broken")
    await services.meter_life.exchange(cleo, METER, wish)
    assert places(head_end) == [("old", METER, at), ("old", NEW, TOMORROW)]
