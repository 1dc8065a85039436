"""One search over everything that has a name, and what somebody of one area sees of it."""

from dataclasses import replace

import pytest
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.services.asset_records import AssetQuery
from hesper_cloud.services.errors import NotFound, NotPermitted

METER, OTHER = "HES12642984", "HES12642985"


@pytest.fixture
async def stocked(services, cleo, head_end):
    """Two areas with a meter each, a customer and a SIM card in the north."""
    for name in ("north", "south"):
        await services.assets.create(cleo, "area", {"name": name})
    with writing(head_end.databases.registry) as session:
        session.get_one(Meter, METER).area = "north"
        session.get_one(Meter, OTHER).area = "south"
    ada = {"account_number": "A-1815", "name": "Ada Lovelace", "address": "12 Mill lane"}
    customer = await services.assets.create(cleo, "customer", ada | {"area": "north"})
    south = {"account_number": "A-2", "name": "Ada of the south", "area": "south"}
    await services.assets.create(cleo, "customer", south)
    card = {"iccid": "8988303000000614225", "msisdn": "+4477009", "imsi": "234500000000001"}
    await services.assets.create(cleo, "sim", card | {"meter": METER})
    await services.assets.create(
        cleo, "element", {"id": "f-1", "kind": "feeder", "name": "Mill lane"}
    )
    await services.assets.change(cleo, "meter", METER, {"customer_id": customer.id})
    return services.assets


FOUND = {
    METER[-6:]: {"meter", "sim"},
    "lovelace": {"customer", "meter"},
    "A-1815": {"customer"},
    "mill lane": {"customer", "meter", "feeder"},
    "LANE mill": {"customer", "meter", "feeder"},
    "4477009": {"sim"},
    "23450000": {"sim"},
    "89883030": {"sim"},
    "gw-1": {"gateway"},
    "nort": {"area", "meter", "customer"},
    "  ": set(),
    "%": set(),
    "\0": set(),
}


async def test_a_few_words_find_it(stocked, ann):
    found = {typed: await stocked.search(ann, typed) for typed in FOUND}
    assert {typed: {hit.kind for hit in hits} for typed, hits in found.items()} == FOUND
    assert all(hit.page.startswith("/") for hits in found.values() for hit in hits)


async def test_somebody_of_one_area_sees_and_keeps_what_is_there(stocked, ann):
    north = replace(ann, areas=("north",))
    south = replace(ann, areas=("south",))
    found = await stocked.search(north, "ada")
    assert {hit.title for hit in found} == {"Ada Lovelace", METER}
    found = await stocked.search(south, "ada")
    assert {hit.title for hit in found} == {"Ada of the south", OTHER}
    assert await stocked.search(south, "8988303") == []
    page = await stocked.page(south, "customer", AssetQuery())
    assert (page.total, [row.name for row in page.rows]) == (1, ["Ada of the south"])
    lovelace = (await stocked.page(north, "customer", AssetQuery())).rows[0]
    for work in (
        stocked.get(south, "customer", lovelace.id),
        stocked.history(south, "customer", lovelace.id),
        stocked.change(south, "customer", lovelace.id, {"phone": "1"}),
        stocked.delete(south, "customer", lovelace.id),
        stocked.change(south, "meter", OTHER, {"customer_id": lovelace.id}),
        stocked.change(south, "meter", METER, {"brand": "x"}),
        stocked.create(south, "customer", {"account_number": "3", "name": "x", "area": "north"}),
    ):
        with pytest.raises(NotFound):
            await work
    with pytest.raises(NotFound):
        await stocked.change(north, "meter", METER, {"area": "south"})
    with pytest.raises(NotPermitted, match="would not be in your areas: north"):
        await stocked.change(north, "meter", METER, {"area": None})
    with pytest.raises(NotPermitted, match="would not be in your areas"):
        await stocked.create(north, "customer", {"account_number": "3", "name": "x"})
    changed = await stocked.change(north, "customer", lovelace.id, {"name": "Ada King"})
    assert changed.name == "Ada King"
    assert (await stocked.get(north, "meter", METER)).customer == "Ada King"
