"""InfluxQL statements, built in one place: text that comes from outside goes through `quoted`."""

from collections.abc import Sequence

from hesper_cloud.stores.influx_lines import tag
from hesper_cloud.stores.port import LATEST

Range = tuple[int, int]


def select(fields: str, source: str, where: str = "", group_by: str = "") -> str:
    """Returns a SELECT; `source` is a measurement or, in parentheses, another SELECT."""
    parts = ["SELECT", fields, "FROM", source]
    parts += ["WHERE", where] if where else []
    parts += ["GROUP BY", group_by] if group_by else []
    return " ".join(parts)


def quoted(text: str) -> str:
    """Returns a tag value as an InfluxQL string."""
    return "'" + tag(text).replace("'", "\\'") + "'"


def field(logical_name: str) -> str:
    """Returns a field's name as an InfluxQL identifier."""
    return '"' + logical_name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def within(span: Range) -> str:
    """Returns the condition for a half-open range of time; InfluxQL knows none after `LATEST`."""
    return f"time >= {span[0]}s AND time <= {min(span[1] - 1, LATEST)}s"


def of_meters(meters: Sequence[str]) -> str:
    """Returns the condition for one of some meters."""
    return "(" + " OR ".join(f"meter = {quoted(meter)}" for meter in meters) + ")"


def of_meter(meter: str, profile: str | None, span: Range) -> str:
    """Returns the condition for one meter and one profile, or all."""
    chosen = "" if profile is None else f" AND profile = {quoted(profile)}"
    return f"meter = {quoted(meter)}{chosen} AND {within(span)}"
