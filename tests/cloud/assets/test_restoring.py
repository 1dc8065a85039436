"""What was deleted comes back without what it named that has gone meanwhile."""

from datetime import UTC, datetime

from hesper_cloud.assets import arrivals
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter

NEW = "HES20000001"
ADA = {"account_number": "A-1815", "name": "Ada Lovelace", "address": "12 Mill lane"}


async def meter_of_nobody_any_more(assets, cleo):
    """A planned meter of a customer and an area; all three are deleted, the meter first."""
    await assets.create(cleo, "area", {"name": "north"})
    customer = await assets.create(cleo, "customer", ADA)
    wanted = {"id": NEW, "account_number": "A-1815", "area": "north"}
    await assets.create(cleo, "meter", wanted)
    await assets.delete(cleo, "meter", NEW)
    await assets.delete(cleo, "customer", customer.id)
    await assets.delete(cleo, "area", "north")


async def test_a_meter_comes_back_without_a_customer_and_an_area_that_have_gone(services, cleo):
    assets = services.assets
    await meter_of_nobody_any_more(assets, cleo)
    back = await assets.restore(cleo, "meter", NEW)
    assert (back.customer_id, back.customer, back.area) == (None, None, None)
    assert back.address == "12 Mill lane"
    told = (await assets.history(cleo, "meter", NEW))[0]
    assert told.action == "restore"
    assert {"customer_id", "customer", "area", "deleted_at"} == told.after.keys()


async def test_so_does_a_deleted_meter_that_is_heard(services, cleo, head_end):
    await meter_of_nobody_any_more(services.assets, cleo)
    registry = head_end.databases.registry
    with writing(registry) as session:
        assert arrivals.meters_heard(session, "gw-1", [NEW], datetime.now(UTC)) == 1
    with reading(registry) as session:
        row = session.get_one(Meter, NEW)
        assert (row.life, row.customer_id, row.customer, row.area) == ("installed", *[None] * 3)


async def test_a_customer_comes_back_without_a_tariff_that_has_gone(services, cleo):
    assets = services.assets
    await assets.create(cleo, "tariff", {"name": "night"})
    customer = await assets.create(cleo, "customer", ADA | {"tariff": "night"})
    await assets.delete(cleo, "customer", customer.id)
    await assets.delete(cleo, "tariff", "night")
    assert (await assets.restore(cleo, "customer", customer.id)).tariff is None


async def test_what_is_there_yet_comes_back_with_it(services, cleo):
    assets = services.assets
    customer = await assets.create(cleo, "customer", ADA)
    await assets.create(cleo, "meter", {"id": NEW, "account_number": "A-1815"})
    await assets.delete(cleo, "meter", NEW)
    back = await assets.restore(cleo, "meter", NEW)
    assert (back.customer_id, back.customer) == (customer.id, "Ada Lovelace")
