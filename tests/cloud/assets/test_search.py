"""One search over everything that has a name, and what somebody of one area sees of it."""

from dataclasses import replace

import pytest
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.services.asset_records import AssetQuery
from hesper_cloud.services.errors import NotFound, NotPermitted
from hesper_cloud.services.records import MeterQuery

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


NAMED = "Özdemir & Æsøy [GmbH]"


@pytest.mark.parametrize(
    "typed", ["özdemir", "ÖZDEMIR", "æSØY", "ÆSØY özdemir", "æsøy [gmbh]", "ø", "öz"]
)
async def test_letters_beyond_ascii_are_found_capital_and_small(stocked, services, ann, typed):
    customer = await stocked.create(ann, "customer", {"account_number": "A-3", "name": NAMED})
    await stocked.change(ann, "meter", METER, {"customer_id": customer.id})
    assert {hit.kind for hit in await stocked.search(ann, typed)} == {"customer", "meter"}
    found = await services.meters.page(ann, MeterQuery(search=typed))
    assert [row.id for row in found.rows] == [METER]


@pytest.mark.parametrize("typed", ["ö*", "ö?demir", "ö[z", "ö^", "özdemir]", "ß"])
async def test_no_sign_beside_them_means_anything_else(stocked, ann, typed):
    await stocked.create(ann, "customer", {"account_number": "1", "name": "Özdemir"})
    assert await stocked.search(ann, typed) == []


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


async def test_what_a_list_names_and_counts_is_in_the_areas_of_who_reads_it(
    stocked, cleo, ann, head_end
):
    """A customer with a meter here and one there, a model, a tariff, and feeders of both sides."""
    north, south = replace(ann, areas=("north",)), replace(ann, areas=("south",))
    lovelace = (await stocked.page(north, "customer", AssetQuery())).rows[0]
    await stocked.create(cleo, "model", {"brand": "Acme", "model": "One"})
    await stocked.create(cleo, "tariff", {"name": "day"})
    await stocked.create(cleo, "element", {"id": "f-2", "kind": "feeder", "name": "Hill road"})
    await stocked.change(cleo, "customer", lovelace.id, {"tariff": "day", "area": None})
    for meter, element in ((METER, "f-1"), (OTHER, "f-2")):
        await stocked.change(cleo, "meter", meter, {"brand": "Acme", "model": "One"})
        await stocked.place(cleo, element, meter, "customer", now_utc())
    await stocked.change(cleo, "meter", OTHER, {"customer_id": lovelace.id})
    with writing(head_end.databases.registry) as session:
        session.get_one(Meter, OTHER).area = "south"  # it came along with the customer
    told = {}
    for actor in (ann, north, south):
        customer = await stocked.get(actor, "customer", lovelace.id)
        models = (await stocked.page(actor, "model", AssetQuery())).rows
        tariffs = (await stocked.page(actor, "tariff", AssetQuery())).rows
        elements = (await stocked.page(actor, "element", AssetQuery())).rows
        told[actor] = (
            customer.meters,
            [row.meters for row in models],
            [row.customers for row in tariffs],
            [(row.id, row.meters) for row in elements],
            {hit.title for hit in await stocked.search(actor, "hill road") if hit.kind == "feeder"},
        )
    assert told[ann] == ((METER, OTHER), [2], [1], [("f-1", 1), ("f-2", 1)], {"Hill road"})
    assert told[north] == ((METER,), [1], [1], [("f-1", 1)], set())
    assert told[south] == ((OTHER,), [1], [1], [("f-2", 1)], {"Hill road"})
    with pytest.raises(NotFound):
        await stocked.history(north, "element", "f-2")
