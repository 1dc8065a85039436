"""How long work is worded: states of jobs, kinds of files, sizes and shares."""

import re

from hesper_ui.services import ImportView, JobRow, ScheduledRow, ScheduleRow
from hesper_ui.views.looks import Look
from hesper_ui.views.wording import decimal, grouped
from hesper_ui.words import later, say

STATES = {
    "waiting": Look("working", later("waiting")),
    "running": Look("working", later("running")),
    "done": Look("done", later("done")),
    "failed": Look("critical", later("failed")),
    "cancelled": Look("stopped", later("ended")),
}
KINDS = {
    "customers": later("Customers"),
    "meters": later("Meters"),
    "simcards": later("SIM cards"),
    "simuse": later("Use of SIM cards"),
}
REPORTS = {
    "consumption": later("Consumption"),
    "service-levels": later("Service levels"),
    "completeness": later("Completeness of readings"),
    "silent-meters": later("Silent meters"),
    "commands": later("Commands"),
    "audit": later("Audit summary"),
}
EVERY = {"day": later("Every day"), "week": later("Every Monday"), "month": later("Every month")}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_MEGA, _KILO = 1_000_000, 1_000


def state(job: JobRow) -> Look:
    """Returns how a job's state looks, its word said."""
    look = STATES[job.state]
    return Look(look.mark, say(look.word))


def file_state(file: ImportView) -> Look:
    """Returns how a file's state looks: its job's, or that nobody applied it and nobody can."""
    if file.job is not None:
        return state(file.job)
    if file.removed:
        return Look("stopped", say("removed, not applied"))
    return Look("unknown", say("tried, not applied"))


def run_state(row: ScheduledRow) -> Look:
    """Returns how the last run of a scheduled job looks."""
    if row.running:
        return Look("working", say("running"))
    failed = row.problem_at is not None and row.problem_at >= row.last_begun_at
    return Look("warning", say("failed")) if failed else Look("done", say("went well"))


def next_style(row: ScheduledRow) -> str:
    """Returns how the next turn is written: with its date where it may be another day's."""
    return "date" if row.every_s >= _HOUR_S else "time"


def share(job: JobRow) -> float | None:
    """Returns how much of a job is done, in percent; None while nobody knows."""
    if job.state == "done":
        return 100.0
    return 100.0 * job.done / job.total if job.total else None


def progress(job: JobRow) -> str:
    """Says how far a job has come."""
    if job.total is None:
        return grouped(job.done)
    return say("{done} of {total}", done=grouped(job.done), total=grouped(job.total))


def rhythm(seconds: float) -> str:
    """Says how often a scheduled job comes."""
    for unit_s, one, many in (
        (_DAY_S, later("every day"), later("every {count} days")),
        (_HOUR_S, later("every hour"), later("every {count} h")),
        (_MINUTE_S, later("every minute"), later("every {count} min")),
    ):
        if seconds >= unit_s and seconds % unit_s == 0:
            count = int(seconds // unit_s)
            return say(one) if count == 1 else say(many, count=count)
    return say("every {count} s", count=f"{seconds:g}")


def clock(at_minute: int) -> str:
    """Writes a minute of the day as a clock shows it."""
    hour, minute_ = divmod(at_minute, 60)
    return f"{hour:02}:{minute_:02}"


def minute(text: str) -> int | None:
    """Reads a time of day as minutes since midnight; None where it is none."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hour, minute_ = int(found[1]), int(found[2])
    return hour * 60 + minute_ if hour < 24 and minute_ < 60 else None


def comes(row: ScheduleRow) -> str:
    """Says when a scheduled report is made, by the clock of its zone."""
    every, at = say(EVERY[row.every]), clock(row.at_minute)
    return say("{every} at {at}, {zone}", every=every, at=at, zone=row.zone)


def size(octets: int) -> str:
    """Says how large a file is."""
    if octets >= _MEGA:
        return f"{decimal(octets / _MEGA, 1)} MB"
    return f"{decimal(octets / _KILO, 1)} kB"
