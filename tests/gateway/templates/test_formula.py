"""Addresses by formula: what they give, and that nothing else can be said in them."""

import pytest
from hesper_gateway.templates.formula import LONGEST, Formula
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "serial", "value"),
    [
        ("serial[-4:] % 10000 + 1000", "HXE0123456789", 7789),
        ("serial[-2:] + 16", "12345678", 94),
        ("serial", "0042", 42),
        ("serial[:3]", "A12-345", 123),
        ("serial[2:4] * 10 // 3", "123456", 113),
        ("(serial[-4:] - 1) % 7", "99990008", 0),
        ("17", "", 17),
    ],
)
def test_what_a_formula_gives(text: str, serial: str, value: int) -> None:
    assert Formula(text).value(serial) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "serial.__class__",
        "__import__('os').getcwd()",
        "serial[0]",
        "serial[::2]",
        "serial[a:]",
        "other + 1",
        "2 ** 9999",
        "serial / 2",
        "-serial",
        "True",
        "1.5",
        "[serial for serial in ()]",
        "serial if 1 else 2",
        "serial;serial",
        "(" * (LONGEST - 1) + "1",
        "1" * (LONGEST + 1),
    ],
)
def test_what_is_no_formula(text: str) -> None:
    with pytest.raises(ValueError, match=r"formula|place in the serial"):
        Formula(text)


def test_a_serial_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="no digits there"):
        Formula("serial[4:]").value("12")
    with pytest.raises(ValueError, match="divides by zero"):
        Formula("1 // serial").value("0")


@given(st.text("serial[]:()+-*/% 0123456789", max_size=LONGEST))
def test_any_text_is_a_formula_or_a_value_error(text: str) -> None:
    try:
        assert isinstance(Formula(text).value("12345678901234567890"), int)
    except ValueError:
        return
