"""The policy under which commands leave, line by line in words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hesper_ui.views.looks import command_kind
from hesper_ui.views.wording import MISSING, decimal, exactly, grouped
from hesper_ui.words import later, say

NAMES = {
    "four_eyes": later("A second person approves"),
    "approval_window_s": later("Approval within"),
    "expiry_s": later("A command expires after"),
    "settle_grace_s": later("Waits for a late result"),
    "relay_state_max_age_s": later("Relay state not older than"),
    "request_max_age_s": later("A request not older than"),
    "kill_switch_stops": later("Stopping all commands holds"),
    "kill_switch_lift_s": later("Two release it within"),
    "approver_age_s": later("An account approves after"),
    "disconnects": later("Disconnects"),
    "disconnects.per_hour": later("at most an hour"),
    "disconnects.per_day": later("at most a day"),
    "disconnects.gateway_per_hour": later("of one gateway, an hour"),
    "disconnects.gateway_per_day": later("of one gateway, a day"),
    "disconnects.seconds_between": later("time between two"),
    "disconnects.random_delay": later("up to so much longer, as a share"),
    "disconnects.quarantine_above": later("held, when more are queued"),
    "disconnects.quarantine_s": later("held for"),
    "disconnects.alarm_requests": later("alarm at so many requests of one account"),
    "disconnects.alarm_within_s": later("requests counted within"),
    "gateway_reconnects_per_minute": later("Reconnects of one gateway, a minute"),
    "hours": later("Hours of cutting"),
    "hours.zone": later("time zone"),
    "hours.gateway_zones": later("time zone by gateway"),
    "hours.weekdays": later("days of the week, 1 is Monday"),
    "hours.begin": later("from"),
    "hours.end": later("until"),
    "hours.holidays": later("days off"),
    "hours.yearly_holidays": later("days off every year"),
    "hours.wait_s": later("a command waits for them"),
    "weather": later("Weather"),
    "weather.series": later("series of temperatures"),
    "weather.gateway_series": later("series by gateway"),
    "weather.cold_below_c": later("nothing is cut at or below, °C"),
    "weather.hot_above_c": later("nothing is cut at or above, °C"),
    "weather.max_age_s": later("temperature not older than"),
    "weather.ahead_s": later("forecasts count for"),
    "weather.without": later("without a temperature"),
    "maintenance": later("Maintenance"),
    "break_glass": later("Emergency"),
    "break_glass.kinds": later("allows"),
    "break_glass.per_day": later("of one account, a day"),
    "break_glass.needs_factor": later("needs a second factor"),
    "break_glass.factor_age_s": later("which has been there for"),
    "break_glass.review_s": later("reviewed within"),
    "backfills": later("Reading again"),
    "backfills.gateway_in_flight": later("of one gateway at once"),
    "backfills.gateway_per_hour": later("of one gateway, an hour"),
    "backfills.meter_per_hour": later("of one meter, an hour"),
    "backfills.range_days": later("days at once"),
    "backfills.expiry_s": later("expires after"),
    "batches": later("Batches"),
    "batches.rows": later("meters at most"),
    "batches.disconnects": later("disconnects under one decision"),
    "batches.approval_window_s": later("approval within"),
    "batches.cuts_for_s": later("disconnects leave for, after approval"),
    "batches.least_finished": later("share of failures counts from"),
    "batches.area_reconnects_per_minute": later("reconnects of one area, a minute"),
}
"""What the rules of a policy are called, by their names in its document."""
_OF_KINDS = frozenset({"four_eyes", "kill_switch_stops", "break_glass.kinds"})


@dataclass(frozen=True, slots=True)
class Line:
    """One rule: its name in the document, what it is called, and what it says."""

    name: str
    called: str
    said: str


def lines(policy: Mapping[str, Any], above: str = "") -> Iterator[Line]:
    """Yields the rules of a policy, one a line; one without words keeps the document's name."""
    for key, value in policy.items():
        name = f"{above}.{key}" if above else key
        if isinstance(value, Mapping) and value:
            yield from lines(value, name)
        else:
            yield Line(name, _called(name), _said(name, value))


def _called(name: str) -> str:
    parts = name.split(".")
    paths = [".".join(parts[: depth + 1]) for depth in range(len(parts))]
    words = zip(paths, parts, strict=True)
    return " · ".join(say(NAMES.get(path, part.replace("_", " "))) for path, part in words)


def _said(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    if isinstance(value, list):
        each = map(command_kind, value) if name in _OF_KINDS else map(str, value)
        return ", ".join(each) or MISSING
    if name.endswith(("_s", "seconds_between")):
        return exactly(value)
    if isinstance(value, int):
        return grouped(value)
    return decimal(value, 1) if isinstance(value, float) else str(value or MISSING)
