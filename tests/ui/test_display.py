"""Units and signs of numbers: by language, by size, or as whoever looks has chosen."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from console_double.fleet import Fleet
from console_double.people import Console, texts, unbroken
from hesper_ui import tongues
from hesper_ui.services.planning import PlanState
from hesper_ui.tongues import Tongue
from hesper_ui.views import gateway_words, plans
from hesper_ui.views.wording import power, scaled, shifted
from hesper_ui.words import speaking
from starlette.requests import HTTPConnection

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def asking(cookie: str) -> Tongue:
    headers = [(b"accept-language", b"de"), (b"cookie", cookie.encode())]
    return tongues.wanted_by(HTTPConnection({"type": "http", "headers": headers}))


def shown(value: int, scaler: int, symbol: str) -> str:
    shift, unit = shifted(value, scaler, symbol)
    return f"{scaled(value, scaler - shift)} {unit}"


def test_registers_and_loads_have_the_unit_of_their_size():
    assert shown(9_055_315, 0, "Wh") == "9,055.315 kWh"
    assert shown(999, 0, "Wh") == "999 Wh"
    assert shown(2_500_000_000, 0, "Wh") == "2,500.000000 MWh"
    assert shown(123_456, -2, "W") == "1.23456 kW"
    assert shown(2_307, -1, "V") == "230.7 V"
    assert (power(1_234), power(5), power(None)) == (("1.23", "kW"), ("5", "W"), ("–", "kW"))


@pytest.mark.parametrize(
    ("units", "register", "load"),
    [
        ("base", "9.055.315 Wh", ("1.234", "W")),
        ("kilo", "9.055,315 kWh", ("1,234", "kW")),
        ("mega", "9,055315 MWh", ("0,001", "MW")),
        ("<b>", "9.055,315 kWh", ("1,23", "kW")),
    ],
)
def test_a_chosen_unit_holds_for_every_size(units, register, load):
    with speaking(asking(f"hesper_units={units}")):
        assert shown(9_055_315, 0, "Wh") == register
        assert power(1_234) == load


def test_the_signs_of_numbers_are_chosen_apart_from_the_language():
    chosen = asking("hesper_decimal=point")
    assert (chosen.language, chosen.numbers, chosen.tag) == ("de", "en-GB", "de")
    with speaking(chosen):
        assert scaled(1_234_567, -2) == "12,345.67"
    own = asking("hesper_decimal=x")
    assert (own.decimal, own.group, own.numbers) == (",", ".", "de")


def test_a_gateway_says_when_its_signal_is_weak_and_its_certificate_ends():
    row = replace(Fleet().gateways["gw-serial"], certificate_expires_at=NOW)
    assert gateway_words.signal(row) == ("normal", "−71 dBm")
    assert gateway_words.signal(replace(row, signal_dbm=-109)).mark == "warning"
    assert gateway_words.signal(replace(row, signal_dbm=None)).word == "–"
    before = NOW.replace(month=5, day=20)
    assert gateway_words.certificate(row, before) == ("warning", "12 days")
    assert gateway_words.certificate(row, NOW.replace(day=2)) == ("critical", "expired")


def test_a_schedule_is_compared_field_by_field():
    state = PlanState(
        "gw-1", "calm", 2, {"profile_s": 900, "snapshot_s": 90}, {"profile_s": 900}, NOW, None,
        "differs",
    )  # fmt: skip
    assert plans.compared("schedule", state) == [
        ("Load profile every", "15 min", "15 min"),
        ("Registers every", "90 s", "–"),
    ]
    assert plans.whom({"area": "North", "model": "E450"}) == "Area North · Model E450"
    assert plans.told("schedule", {}) == ["the gateway's own defaults"]
    assert plans.state(replace(state, desired=None)).word == "nothing assigned"


@pytest.mark.asyncio(loop_scope="module")
async def test_the_choices_stand_in_the_settings_and_in_ones_account(console: Console) -> None:
    async with console.person("approver") as approver:
        for path in ("/settings", "/profile"):
            with unbroken():
                await approver.open(path)
                await approver.should_see("How it is shown to you", retries=20)
            assert "A register then reads 12,345.678 kWh, a load 1.23 kW." in texts(approver)
