"""Customers, SIM cards and the exchange of a meter, as people see and do them."""

import pytest
from console_double.keeping import ACCOUNT, ICCID
from console_double.people import Console, fill, press, texts, until
from hesper_ui.views import assets
from hesper_ui.views.assets import FIELDS

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def fresh(console: Console) -> None:
    """Every test begins with the same fleet, customer and card."""
    console.services.start_again()


async def test_customers_are_found_and_lead_to_their_meters(console: Console) -> None:
    meter = next(iter(console.services.fleet.meters))
    async with console.person("vera") as vera:
        await vera.open("/customers")
        await vera.should_see("Ada Byron")
        assert ACCOUNT in texts(vera)
        assert "Add a customer…" not in texts(vera)  # a viewer looks
        await vera.open("/customers?search=nobody")
        await vera.should_see("Nothing matches")
        await vera.open("/customers/1")
        await vera.should_see("12 Mill lane")
        assert meter in texts(vera)
        await vera.open("/customers/77")
        await vera.should_see("Nothing here under this name")


async def test_a_customer_is_added_changed_and_deleted_with_history(console: Console) -> None:
    async with console.person("operator") as operator:
        await operator.open("/customers")
        await press(operator, "Add a customer…")
        await fill(operator, asset_name="Grace Hopper")
        await press(operator, "Keep")  # which waits for what is required
        await fill(operator, asset_account_number="G-1906")
        await press(operator, "Keep")
        await until(lambda: len(console.services.assets.kept["customer"]) == 2)
        await operator.open("/customers/2")
        await operator.should_see("Grace Hopper")
        await press(operator, "Change…")
        await fill(operator, asset_phone="+1 555")
        await press(operator, "Change")
        await operator.should_see("Phone: – → +1 555")
        assert console.services.assets.changes[-1].after == {"phone": "+1 555"}
        await press(operator, "Delete…")
        await press(operator, "Delete")
        await until(lambda: ("customer", 2) in console.services.assets.deleted)


async def test_a_change_that_comes_too_late_is_told(console: Console) -> None:
    async with console.person("operator") as operator:
        await operator.open("/customers/sims/1")
        await operator.should_see(ICCID)
        await press(operator, "Change…")
        row = console.services.assets.kept["sim"][1]
        await console.services.assets.change(
            console.services.signed_in[next(reversed(console.services.signed_in))],
            "sim", 1, {"provider": "Other"}, row.version,
        )  # fmt: skip
        await fill(operator, asset_apn="m2m")
        await press(operator, "Change")
        await operator.should_see("It was changed meanwhile; read it again.")


async def test_sim_cards_show_their_state_and_use(console: Console) -> None:
    async with console.person("vera") as vera:
        await vera.open("/customers/sims?state=active")
        await vera.should_see(ICCID)
        assert "85 of 100 MB" in texts(vera)
        await vera.open("/customers/sims?state=retired")
        await vera.should_see("Nothing here yet")


async def test_a_meter_is_replaced_from_its_page(console: Console) -> None:
    old, new = list(console.services.fleet.meters)[:2]
    async with console.person("operator") as operator:
        await operator.open(f"/meters/{old}")
        await operator.should_see("Replace…", retries=20)
        assert ICCID in texts(operator)
        await press(operator, "Replace…")
        await fill(operator, new_meter="HES0", final_register="48123", initial_register="5")
        await fill(operator, exchange_reason="display is dark")
        await press(operator, "Replace the meter")
        await operator.should_see("There is no meter HES0.")
        await fill(operator, new_meter=new)
        await press(operator, "Replace the meter")
        await until(lambda: old in console.services.meter_life.replaced)
        await operator.should_see("Replaced by", retries=20)
    row = console.services.meter_life.replaced[old]
    assert (row.new_meter, row.final_register, row.initial_register) == (new, 48_123, 5)


async def test_a_meter_is_commissioned_and_changed_from_its_page(console: Console) -> None:
    meter = next(iter(console.services.fleet.meters))
    console.services.meter_life.installed.add(meter)
    async with console.person("operator") as operator:
        await operator.open(f"/meters/{meter}")
        await operator.should_see("Commission…", retries=20)
        await press(operator, "Commission…")
        await press(operator, "Commission")
        await operator.should_see("has sent no register since it was installed")
        await fill(operator, first_register="17")
        await press(operator, "Commission")
        await until(lambda: meter not in console.services.meter_life.installed)
        await press(operator, "Change…")
        await fill(operator, asset_account_number="A-2")
        await press(operator, "Change")
        await until(lambda: bool(console.services.assets.changes))
    assert console.services.assets.changes[-1].after == {"account_number": "A-2"}


def _texts(kind: str, **written: str) -> dict[str, str]:
    return {field.name: written.get(field.name, "") for field in FIELDS[kind]}


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ({"iccid": f" {ICCID} ", "data_limit_mb": "100"}, {"iccid": ICCID, "data_limit_mb": 100}),
        ({"data_limit_mb": "many"}, {"data_limit_mb": "many"}),
        ({}, {}),
    ],
)
async def test_only_what_was_written_is_sent(written: dict[str, str], sent: object) -> None:
    assert assets.changes(FIELDS["sim"], None, _texts("sim", **written)) == sent


async def test_the_supply_of_a_meter_shows_what_was_just_changed(console: Console) -> None:
    meter = next(iter(console.services.fleet.meters))
    async with console.person("operator") as operator:
        await operator.open(f"/meters/{meter}")
        await operator.should_see("Change…", retries=20)
        await press(operator, "Change…")
        await fill(operator, asset_address="1 New street")
        await press(operator, "Change")
        await until(lambda: "1 New street" in texts(operator).splitlines())
