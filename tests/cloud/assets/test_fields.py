"""What fields take, and how lives go on: tables."""

from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hesper_cloud.assets import checks, lives
from hesper_cloud.assets.errors import Forbidden, WrongField
from hesper_cloud.assets.kinds import CUSTOMER, METER, SIM


@pytest.mark.parametrize(
    ("check", "given", "kept"),
    [
        (checks.iccid, "8988303000000614225", "8988303000000614225"),
        (checks.iccid, "8988 3030 0000 0614 225F", "8988303000000614225"),
        (checks.imsi, "262019876543210", "262019876543210"),
        (checks.msisdn, "+4915123456789", "+4915123456789"),
        (checks.address, "2001:DB8::1", "2001:db8::1"),
        (checks.address, " 10.0.0.7 ", "10.0.0.7"),
        (checks.email, "ada@example.org", "ada@example.org"),
        (checks.day, "2026-03-31", date(2026, 3, 31)),
        (checks.port, 4059, 4059),
        (checks.latitude, 52.5, 52.5),
        (checks.text(5), "  ", None),
        (checks.text(5), None, None),
        (checks.key, "Mill lane", "Mill lane"),
    ],
)
def test_a_field_keeps_what_it_takes(check: checks.Check, given: Any, kept: Any) -> None:
    assert check(given) == kept


@pytest.mark.parametrize(
    ("check", "given"),
    [
        (checks.iccid, "1234567890123456789"),
        (checks.iccid, "123"),
        (checks.imsi, "26201"),
        (checks.msisdn, "phone"),
        (checks.address, "10.0.0.999"),
        (checks.email, "ada at example.org"),
        (checks.email, "ada@example.org\r\nBcc: all@example.org"),
        (checks.day, "31.03.2026"),
        (checks.port, 70_000),
        (checks.port, 80.5),
        (checks.latitude, 91),
        (checks.longitude, float("nan")),
        (checks.text(5), "sixsix"),
        (checks.text(5), 7),
        (checks.text(50), "line\nbreak"),
        (checks.text(50), "nul\0"),
        (checks.key, "north/east"),
        (checks.whole(0), -1),
        (checks.whole(0), True),
        (checks.whole(0), 2**40),
    ],
)
def test_a_field_refuses_what_it_does_not_take(check: checks.Check, given: Any) -> None:
    with pytest.raises(checks.NotTaken):
        check(given)


def test_a_wrong_value_names_its_field() -> None:
    with pytest.raises(WrongField, match=r"imsi: .*14 or 15 digits") as caught:
        SIM.checked({"imsi": "1"})
    assert caught.value.field == "imsi"
    with pytest.raises(WrongField, match="no such field"):
        CUSTOMER.checked({"version": 3})
    with pytest.raises(WrongField, match="name: is required"):
        CUSTOMER.checked({"account_number": "1", "name": " "}, whole=True)
    for name in ("gateway", "logical_device_name", "life_support"):
        with pytest.raises(WrongField, match="commissioning alone"):
            METER.checked({name: "x"})


@pytest.mark.parametrize(
    ("table", "path"),
    [
        (lives.METER, "planned stock installed commissioned removed stock planned installed"),
        (lives.GATEWAY, "planned installed removed stock"),
        (lives.SIM, "stock active suspended active retired"),
    ],
)
def test_lives_go_their_way(table: Any, path: str) -> None:
    states = path.split()
    for present, wanted in pairwise(states):
        lives.step(table, "it", present, wanted)


@pytest.mark.parametrize(
    ("table", "present", "wanted"),
    [
        (lives.METER, "planned", "commissioned"),
        (lives.METER, "commissioned", "stock"),
        (lives.METER, "removed", "commissioned"),
        (lives.GATEWAY, "installed", "stock"),
        (lives.SIM, "retired", "active"),
        (lives.SIM, "suspended", "stock"),
    ],
)
def test_lives_do_not_leap(table: Any, present: str, wanted: str) -> None:
    with pytest.raises(Forbidden, match=f"is {present}; from there it becomes"):
        lives.step(table, "it", present, wanted)
