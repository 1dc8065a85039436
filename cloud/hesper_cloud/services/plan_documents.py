"""What a version of a schedule or template may hold, whichever door it comes through."""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.plan_states import PlanKind
from hesper_cloud.worded import told_by, worded

NAME = r"^[a-z0-9][a-z0-9-]{0,63}$"
MOST_S = 366 * 86_400
MOST_JITTER_S = 86_400
LONGEST_TEMPLATE = 256 * 1024
LONGEST_NOTE = 500
SCHEDULE_FIELDS = (
    "profile_s",
    "snapshot_s",
    "events_s",
    "jitter_s",
    "back_off_s",
    "back_off_max_s",
)
"""The table ``[schedule]`` of gateway.toml, in seconds."""


def check(kind: PlanKind, name: str, document: Mapping[str, Any], note: str) -> None:
    """Checks a version before it is kept.

    Raises:
        Invalid: what does not fit, and what would.
    """
    if not re.match(NAME, name):
        raise Invalid("a name is small letters, digits and hyphens, 64 at most")
    if len(note) > LONGEST_NOTE:
        raise Invalid(
            worded("a note has {longest_note} characters at most", longest_note=LONGEST_NOTE)
        )
    if kind == "schedule":
        for field, value in document.items():
            _check_seconds(field, value)
    else:
        _check_template(document)


def _check_seconds(field: str, value: Any) -> None:
    if field not in SCHEDULE_FIELDS:
        raise Invalid(worded("{field}: a schedule has no such field", field=field))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid(worded("{field}: is a number of seconds", field=field))
    if field == "jitter_s":
        if not 0 <= value <= MOST_JITTER_S:
            raise Invalid(
                worded(
                    "{field}: is from 0 to {most_jitter_s} seconds",
                    field=field,
                    most_jitter_s=MOST_JITTER_S,
                )
            )
    elif not 0 < value <= MOST_S:
        raise Invalid(
            worded(
                "{field}: is more than 0 and at most {most_s} seconds", field=field, most_s=MOST_S
            )
        )


def _check_template(document: Mapping[str, Any]) -> None:
    text = document.get("toml")
    if not isinstance(text, str) or not text.strip() or set(document) != {"toml"}:
        raise Invalid("a template is the text of a TOML file")
    if len(text) > LONGEST_TEMPLATE:
        raise Invalid(
            worded(
                "a template has {longest_template} characters at most",
                longest_template=LONGEST_TEMPLATE,
            )
        )
    try:
        toml(text)
    except ValueError as error:
        raise Invalid(told_by(error)) from None


def toml(text: str) -> str:
    """Returns a text that is TOML.

    Raises:
        ValueError: it is none, and where.
    """
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5000 digits, 1000 brackets
        raise ValueError(f"not TOML: {error}") from None
    return text
