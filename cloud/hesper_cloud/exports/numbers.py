"""How values stand in text: exact decimals, instants in RFC 3339."""

from datetime import UTC, datetime


def exact(value: int, scaler: int) -> str:
    """Returns ``value * 10**scaler`` as decimal text, without rounding."""
    if scaler >= 0:
        return str(value * 10**scaler)
    digits = str(abs(value)).rjust(1 - scaler, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:scaler]}.{digits[scaler:]}"


def rfc3339(epoch_s: int) -> str:
    """Returns an instant with Z, whole seconds."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
