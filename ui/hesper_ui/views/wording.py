"""How numbers, ages and scaled integers are written, the same way as in the browser's live.js.

Decimal and thousands separators are those of the language that the page speaks.
"""

import re
from datetime import datetime
from decimal import Decimal

from hesper_ui.services import Invalid, Worded, told_by
from hesper_ui.words import current, later, noun, say

MISSING = "–"
MINUS = "−"
_PREFIXES = {0: "", 3: "k", 6: "M"}
_FIXED = {"base": 0, "kilo": 3, "mega": 6}  # what may be chosen in the place of automatic units
_OURS = frozenset(
    {
        *("cause", "held", "kind", "lacking", "life", "limits", "may", "members", "objection"),
        *("permission", "present", "role", "state", "table_word", "text", "verb", "wanted"),
        *("what", "why", "words"),
    }
)
"""Names in texts of the services whose values are words of ours, not names that others gave."""
_COUNTS = frozenset({"count", "count_2", "customers", "most", "size", "told", "total"})
"""Names whose values, if they are integers, are written with thousands separated."""
_MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(\D)\d{3}")
_ENERGIES, _POWERS = frozenset({"Wh", "varh", "VAh"}), frozenset({"W", "var", "VA"})


def epoch_ms(at: datetime) -> int:
    """Returns milliseconds since 1970, as browsers count."""
    return int(at.timestamp() * 1000)


def grouped(value: int) -> str:
    """Writes an integer with thousands separated."""
    return f"{value:,}".replace("-", MINUS).replace(",", current().group)


def plain(text: str) -> str:
    """Returns an integer as somebody wrote it, without what `grouped` puts between thousands."""
    return "".join(text.split()).replace(current().group, "")


def number_text(value: object) -> str:
    """Writes a number as a form begins with it and `number_said` reads it: without thousands."""
    return f"{Decimal(str(value)).normalize():f}".replace(".", current().decimal)


def number_said(text: str) -> str:
    """Returns a number of a form as programs write it; what is none stays as it is.

    Raises:
        Invalid: it may be thousands or a fraction: with ``1,000`` read as 1 a limit would be a
            thousandth of what somebody wrote.
    """
    said = text.strip()
    found = _MAYBE_THOUSANDS.fullmatch(said)
    if found and found[1] == current().group:
        thousands, fraction = said.replace(found[1], ""), said.replace(found[1], current().decimal)
        words = "{number} may be thousands or a fraction: write {thousands} or {fraction}."
        raise Invalid(say(words, number=said, thousands=thousands, fraction=fraction))
    return said.replace(",", ".")


def decimal(value: float, digits: int) -> str:
    """Writes a number with ``digits`` behind the separator."""
    tongue = current()
    signs = {",": tongue.group, ".": tongue.decimal, "-": MINUS}
    return "".join(signs.get(sign, sign) for sign in f"{value:,.{digits}f}")


def scaled(value: int | None, scaler: int) -> str:
    """Writes ``value × 10**scaler`` digit by digit, without passing through a float."""
    if value is None:
        return MISSING
    sign, digits = (MINUS if value < 0 else ""), str(abs(value))
    if scaler >= 0:
        return sign + grouped(abs(value) * 10**scaler)
    padded = digits.rjust(1 - scaler, "0")
    return f"{sign}{grouped(int(padded[:scaler]))}{current().decimal}{padded[scaler:]}"


def age_text(seconds: float) -> str:
    """Writes an age that stands alone, with one unit: seconds, minutes, hours, then days."""
    whole = max(0, round(seconds))
    if days := _days(seconds):
        return say("{count} days", count=days)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 3600 else f"{whole // 3600} h"


def ago_text(seconds: float) -> str:
    """Writes how long ago something was: some languages bend the word for days by what governs it.

    So the few words around an age are said with it, here and in the two that follow; the signs of
    the other units are the same everywhere.
    """
    return _governed(seconds, later("{count} days ago"), later("{age} ago"))


def lasting_text(seconds: float) -> str:
    """Writes since when something has been so."""
    return _governed(seconds, later("for {count} days"), later("for {age}"))


def within_text(seconds: float) -> str:
    """Writes in what time something happens."""
    return _governed(seconds, later("within {count} days"), later("within {age}"))


def _governed(seconds: float, of_days: str, otherwise: str) -> str:
    days = _days(seconds)
    return say(of_days, count=days) if days else say(otherwise, age=age_text(seconds))


def _days(seconds: float) -> int:
    """Returns how many days an age is written in; 0 for one that is shorter than two."""
    whole = max(0, round(seconds))
    return whole // 86_400 if whole >= 172_800 else 0


def exactly(seconds: float) -> str:
    """Writes a time that somebody sets, never rounded: in whole units, or in seconds."""
    for unit, sign in ((86_400, ""), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit and seconds % unit == 0:
            count = int(seconds // unit)
            return f"{count} {sign}" if sign else say("{count} days", count=count)
    return f"{decimal(seconds, 0 if seconds == int(seconds) else 1)} s"


def significant(value: float) -> str:
    """Writes about three significant digits."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return decimal(value, digits)


def power(watt: int | None) -> tuple[str, str]:
    """Returns a power as number and unit: W, kW or MW by its size, or the unit that is chosen."""
    fixed = _FIXED.get(current().units)
    if watt is None:
        return MISSING, f"{_PREFIXES[3 if fixed is None else fixed]}W"
    exponent = _by_size(abs(watt), mega=6) if fixed is None else fixed
    unit = f"{_PREFIXES[exponent]}W"
    if exponent == 0:
        return grouped(watt), unit
    value = watt / 10**exponent
    return significant(value) if fixed is None else decimal(value, 3), unit


def shifted(value: int | None, scaler: int, symbol: str) -> tuple[int, str]:
    """Returns by how many tens, and in which unit, a register's value is shown.

    Energy and power alone are shown in thousands or millions of their unit; a register of energy
    stays in kWh until it passes a GWh, so that it does not change its unit from day to day.
    """
    if symbol not in _ENERGIES | _POWERS:
        return 0, symbol
    shift = _FIXED.get(current().units)
    if shift is None:
        shift = _by_size(_size(value or 0, scaler), mega=9 if symbol in _ENERGIES else 6)
    return shift, f"{_PREFIXES[shift]}{symbol}"


def _size(value: int, scaler: int) -> int:
    """Returns what a value comes to in whole units, without its sign."""
    return int(abs(value) * 10**scaler if scaler >= 0 else abs(value) // 10**-scaler)


def _by_size(size: int, mega: int) -> int:
    """Returns the power of ten of the unit in which a size is read best."""
    return 6 if size >= 10**mega else 3 if size >= 1000 else 0


def percent(value: float | None) -> str:
    """Writes a percentage without its sign; only what is whole is written as 100."""
    if value is None:
        return MISSING
    if value == 0 or value >= 99.995:
        return f"{value:.0f}"
    return decimal(min(value, 99.9), 1)


def plural(count: int, one: str, many: str | None = None) -> str:
    """Writes a count with its noun."""
    return f"{grouped(count)} {noun(count, one, many or one + 's')}"


def capital(text: str) -> str:
    """Writes a text with a capital first."""
    text = text.strip()
    return text[:1].upper() + text[1:]


def retold(text: str) -> str:
    """Says a text of the services in the operator's language; as it came where that has no words.

    What a text names is left as it is, but for words of ours: states, kinds, roles.
    """
    if not isinstance(text, Worded):
        return say(text)
    values = {name: _value(name, each) for name, each in text.values.items()}
    return current().word(text.template).format(**values)


def _value(name: str, value: object) -> object:
    if name in _COUNTS and isinstance(value, int):
        return grouped(value)
    is_ours = isinstance(value, Worded) or name in _OURS
    return retold(value) if is_ours and isinstance(value, str) else value


def sentence(text: str | BaseException) -> str:
    """Writes what a service said as a sentence: a capital first, a full stop last."""
    text = capital(retold(text if isinstance(text, str) else told_by(text)))
    return text if not text or text[-1] in ".!?…" else f"{text}."
