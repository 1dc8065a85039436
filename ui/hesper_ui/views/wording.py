"""How numbers, ages and scaled integers are written, the same way as in the browser's live.js.

Decimal and thousands separators are those of the language that the page speaks.
"""

from datetime import datetime

from hesper_ui.words import current, noun, say

MISSING = "–"
MINUS = "−"


def epoch_ms(at: datetime) -> int:
    """Returns milliseconds since 1970, as browsers count."""
    return int(at.timestamp() * 1000)


def grouped(value: int) -> str:
    """Writes an integer with thousands separated."""
    return f"{value:,}".replace("-", MINUS).replace(",", current().group)


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
    """Writes an age with one unit: seconds, minutes, hours, then days."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 172_800:
        return f"{whole // 3600} h"
    return say("{count} days", count=whole // 86_400)


def significant(value: float) -> str:
    """Writes about three significant digits."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return decimal(value, digits)


def power(watt: int | None) -> tuple[str, str]:
    """Returns a power as number and unit, in W, kW or MW."""
    if watt is None:
        return MISSING, "kW"
    if abs(watt) >= 1_000_000:
        return significant(watt / 1e6), "MW"
    if abs(watt) >= 1000:
        return significant(watt / 1e3), "kW"
    return grouped(watt), "W"


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


def sentence(text: str) -> str:
    """Writes what a service said as a sentence: a capital first, a full stop last."""
    text = capital(say(text))
    return text if not text or text[-1] in ".!?…" else f"{text}."
