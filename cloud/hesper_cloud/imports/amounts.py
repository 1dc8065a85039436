"""Dates and amounts as people write them; what could mean two things is refused, unless told."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from hesper_cloud.imports.problems import Bad
from hesper_cloud.worded import later

DateOrder = Literal["dmy", "mdy", "ymd"]
DecimalMark = Literal[".", ","]
YEARS = range(1900, 2100)
_TIME = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})" + _TIME, re.ASCII)
_DOTTED = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})" + _TIME, re.ASCII)
_SLASHED = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{4})" + _TIME, re.ASCII)
_SHORT_YEAR = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2}", re.ASCII)
_DAY_NUMBER = re.compile(r"\d{5}(?:\.\d+)?", re.ASCII)
_AMOUNT = re.compile(r"(\d[\d., ']*)\s*([A-Za-z]*)", re.ASCII)
_UNIT_MB = {"": 1, "MB": 1, "MIB": 1, "GB": 1000, "GIB": 1024, "TB": 1_000_000}
_GROUP = 3
_MONTHS = 12
_LARGEST_MB = 2**31 - 1
_WRITE_DATES = later("write it as YYYY-MM-DD")


@dataclass(frozen=True, slots=True)
class Habits:
    """How a file writes what can be written in two ways; None: nobody told."""

    dates: DateOrder | None = None
    decimal: DecimalMark | None = None


def read_date(text: str, habits: Habits) -> date:
    """Returns a date; a time of day behind it does not count.

    Raises:
        Bad: it is none, or may be two.
    """
    found = _ISO.fullmatch(text)
    if found:
        return _date(found.group(1), found.group(2), found.group(3))
    found = _DOTTED.fullmatch(text)
    if found:
        return _date(found.group(3), found.group(2), found.group(1))
    found = _SLASHED.fullmatch(text)
    if found:
        return _slashed(found.group(1), found.group(2), found.group(3), habits.dates)
    if _SHORT_YEAR.fullmatch(text):
        raise Bad("short_year", "write the year with four digits")
    if _DAY_NUMBER.fullmatch(text):
        raise Bad("day_number", "this is a spreadsheet's day number: format the column as a date")
    raise Bad("not_a_date", _WRITE_DATES)


def _slashed(first: str, second: str, year: str, told: DateOrder | None) -> date:
    """Takes apart what is written with slashes: day first, month first, or nobody knows."""
    as_days = {"dmy": (second, first), "mdy": (first, second)}
    if told in as_days:
        return _date(year, *as_days[told])
    if first == second or int(first) > _MONTHS:
        return _date(year, second, first)
    if int(second) > _MONTHS:
        return _date(year, first, second)
    raise Bad(
        "ambiguous_date",
        "day or month first? say which with the file's date order, or write YYYY-MM-DD",
    )


def _date(year: str, month: str, day: str) -> date:
    try:
        found = date(int(year), int(month), int(day))
    except ValueError:
        raise Bad("no_such_day", "the calendar has no such day; " + _WRITE_DATES) from None
    if found.year not in YEARS:
        raise Bad("year_out_of_range", f"a year from {YEARS.start} to {YEARS.stop - 1}")
    return found


def read_megabytes(text: str, habits: Habits) -> int:
    """Returns an amount of data in whole megabytes; ``1,5 GB`` is 1500.

    Raises:
        Bad: it is none, or may be two.
    """
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise Bad("not_a_number", "write a number of megabytes, or one with MB or GB behind it")
    factor = _UNIT_MB.get(found.group(2).upper())
    if factor is None:
        raise Bad("unknown_unit", "MB, GB or TB; without one it is megabytes")
    amount = read_decimal(found.group(1).strip(), habits) * factor
    if amount > _LARGEST_MB:
        raise Bad("too_large", f"at most {_LARGEST_MB} MB")
    return int(amount.to_integral_value())


def read_decimal(text: str, habits: Habits) -> Decimal:
    """Returns a number with a point or a comma, its thousands grouped or not.

    Raises:
        Bad: ``1.234`` may be a thousand or about one.
    """
    digits = text.replace(" ", "").replace("'", "")
    mark = habits.decimal or _mark(digits)
    grouping = "," if mark == "." else "."
    whole, _, part = digits.partition(mark)
    groups = whole.split(grouping)
    if not _are_groups(groups) or (part and not part.isdecimal()):
        raise Bad("not_a_number", "write a plain number, such as 1500 or 1500.5")
    return Decimal("".join(groups) + "." + (part or "0"))


def _mark(digits: str) -> str:
    """Returns which of point and comma is the decimal mark."""
    points, commas = digits.count("."), digits.count(",")
    if points and commas:
        return "." if digits.rfind(".") > digits.rfind(",") else ","
    if points + commas == 1:
        mark = "." if points else ","
        whole, _, part = digits.partition(mark)
        if len(part) == _GROUP and len(whole) <= _GROUP and whole != "0":
            raise Bad("ambiguous_number", "thousands or decimals? say which mark the file uses")
        return mark
    return "," if points else "."


def _are_groups(groups: Sequence[str]) -> bool:
    if not groups[0].isdecimal():
        return False
    return all(len(group) == _GROUP and group.isdecimal() for group in groups[1:])
