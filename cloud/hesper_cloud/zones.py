"""Names of time zones, as configuration gives them."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def existing_zone(name: str) -> str:
    """Returns the name of a time zone that this machine knows.

    Raises:
        ValueError: it does not.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error
    return name
