"""Areas, meter models, tariffs and elements of the grid, as people see and keep them."""

import pytest
from console_double.people import Console, fill, press, texts, unbroken, until
from hesper_ui.views import assets
from hesper_ui.views.assets import FIELDS, Field

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGES = {
    "/customers/areas": "North",
    "/customers/models": "Hesper SIM-3P",
    "/customers/tariffs": "Day and night",
    "/customers/elements": "Transformer 17",
}


@pytest.fixture(autouse=True)
def fresh(console: Console) -> None:
    """Every test begins with the same lists."""
    console.services.start_again()


async def test_every_list_is_seen_and_only_an_administrator_changes_it(console: Console) -> None:
    async with console.person("operator") as operator, console.person("admin") as admin:
        for path, told in PAGES.items():
            with unbroken():
                await operator.open(path)
                await operator.should_see(told, retries=20)
            assert "Administrators change these lists." in texts(operator)
            assert "Change…" not in texts(operator)
            await admin.open(path)
            await admin.should_see("Change…", retries=20)
        await operator.open("/customers/areas?search=nowhere")
        await operator.should_see("Nothing matches", retries=20)


async def test_a_list_that_cannot_be_had_gives_a_retry(console: Console) -> None:
    console.services.down = True
    async with console.person("operator") as operator:
        await operator.open("/customers/areas")
        await operator.should_see("This page could not be loaded", retries=20)
        console.services.down = False
        await press(operator, "Try again")
        await operator.should_see("North", retries=20)


async def test_an_area_is_added_changed_and_deleted(console: Console) -> None:
    kept = console.services.assets.kept["area"]
    async with console.person("admin") as admin:
        await admin.open("/customers/areas")
        await press(admin, "Add an area…")
        await fill(admin, asset_name="South", asset_latitude="52,4", asset_longitude="13.1")
        await press(admin, "Keep")
        await until(lambda: "South" in kept)
        assert (kept["South"].latitude, kept["South"].longitude) == (52.4, 13.1)
        await admin.should_see("52.4000, 13.1000", retries=20)
        await press(admin, "Change…")
        await fill(admin, asset_parent="North")
        await press(admin, "Change")
        await until(lambda: kept["South"].parent == "North")
        await press(admin, "Delete…")
        await press(admin, "Delete")
        await until(lambda: ("area", "South") in console.services.assets.deleted)


async def test_what_is_still_used_is_not_deleted_and_says_why(console: Console) -> None:
    async with console.person("admin") as admin:
        await admin.open("/customers/models")
        await press(admin, "Delete…")
        await press(admin, "Delete")
        await admin.should_see("Model 1 is still used: 12 meters.")


async def test_an_element_has_no_version_and_is_changed_all_the_same(console: Console) -> None:
    kept = console.services.assets.kept["element"]
    async with console.person("admin") as admin:
        await admin.open("/customers/elements")
        await press(admin, "Change…")
        await fill(admin, asset_name="Transformer 18")
        await press(admin, "Change")
        await until(lambda: kept["t-17"].name == "Transformer 18")


async def test_what_is_kept_of_a_gateway_is_changed_on_its_page(console: Console) -> None:
    async with console.person("operator") as operator:
        await operator.open("/gateways/gw-serial")
        await operator.should_see("Substation 4", retries=20)
        await press(operator, "Change…")
        await fill(operator, asset_address="Dock 9")
        await press(operator, "Change")
        await operator.should_see("Dock 9", retries=20)
    assert console.services.assets.changes[-1].kind == "gateway"


@pytest.mark.parametrize(
    ("text", "sent"), [("52,5", 52.5), (" -3 ", -3.0), ("", None), ("north", "north")]
)
async def test_a_degree_is_written_with_either_sign(text: str, sent: object) -> None:
    field: Field = next(each for each in FIELDS["area"] if each.name == "latitude")
    assert assets.written(field, text) == sent
