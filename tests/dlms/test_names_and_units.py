"""Logical names and units as people and meters write them."""

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.units import ScalerUnit, Unit, symbol


@pytest.mark.parametrize("code", ["1.0.1.8.0.255", "1-0:1.8.0*255", "1-0:1.8.0.255", "1-0:1.8.0"])
def test_a_logical_name_in_every_spelling(code: str) -> None:
    assert obis.parse(code) == obis.ACTIVE_ENERGY_IMPORT == bytes((1, 0, 1, 8, 0, 255))
    assert obis.text(obis.parse(code)) == "1.0.1.8.0.255"


@pytest.mark.parametrize("code", ["", "1.8.0", "1.0.1.8.0.256", "1.0.1.8.0.255.1", "a.b.c.d.e.f"])
def test_other_texts_are_refused(code: str) -> None:
    with pytest.raises(LocalError):
        obis.parse(code)


def test_six_octets_it_must_be() -> None:
    with pytest.raises(LocalError):
        obis.text(b"\x01")


def test_every_unit_has_its_symbol() -> None:
    assert [symbol(code) for code in (27, 30, 33, 35, 44, 255, 143)] == [
        "W",
        "Wh",
        "A",
        "V",
        "Hz",
        "",
        "unit 143",
    ]
    assert Unit.VAR_HOUR.symbol == "varh"
    assert Unit.OTHER.symbol == "other"
    assert [Unit(code).symbol for code in (53, 55, 56, 61, 63, 67, 70)] == [
        "1/V²h",
        "1/m³",
        "%",
        "J/m³",
        "g/m³",
        "atm",
        "dBm",
    ]


def test_scaler_unit_both_ways() -> None:
    pair = ScalerUnit(-1, Unit.VOLT)
    assert axdr.encode(pair.to_data()).hex() == "02020fff1623"
    assert ScalerUnit.from_data(pair.to_data()) == pair


@pytest.mark.parametrize(
    "data",
    [
        axdr.null_data(),
        axdr.structure(axdr.integer(1)),
        axdr.structure(axdr.long_(200), axdr.enum(1)),
        axdr.structure(axdr.octet_string(b""), axdr.enum(1)),
    ],
)
def test_what_is_no_scaler_unit(data: axdr.Data) -> None:
    with pytest.raises(DecodeError):
        ScalerUnit.from_data(data)
