"""The validated view of a curve: raw values, estimates and edits in one, each with its quality."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from hesper_cloud.db.energy import Substitute
from hesper_cloud.stores.curves import fits
from hesper_cloud.stores.port import Series
from hesper_cloud.validation import codes
from hesper_cloud.validation.codes import EDIT, Grade

Source = Literal["raw", "estimate", "edit"]


@dataclass(frozen=True, slots=True)
class FailedRun:
    """Captures from one to another, both included, that failed a check."""

    check: str
    from_at: int
    to_at: int


@dataclass(frozen=True, slots=True)
class ValidatedValue:
    """One value of the view.

    Attributes:
        captured_at: Epoch seconds.
        value: Integer, in the scaler of the view.
        source: Where it comes from.
        grade: Green Button's QualityOfReading.
        codes: Reading quality types of IEC 61968-9.
        raw: What the meter said, where something else stands in its place.
        failed: The checks that it failed; None where none has seen it.
    """

    captured_at: int
    value: int
    source: Source
    grade: Grade
    codes: tuple[str, ...]
    raw: int | None = None
    failed: tuple[str, ...] | None = None


def merged(
    found: Series, held: Iterable[Substitute], failed: Sequence[FailedRun], judged: Sequence[int]
) -> list[ValidatedValue]:
    """Returns the view, ascending in time, in unit and scaler of what is stored.

    What cannot be said so in 64 bits is left out.

    Args:
        found: What is stored; where that is nothing, unit and scaler of what is held.
        held: Substitutes of the same quantity that hold now.
        failed: Where checks failed, of the quantity or of whole readings.
        judged: First and last capture time that the checks have seen; empty: none yet.
    """
    instead = {
        int(row.captured_at.timestamp()): row
        for row in held
        if row.unit == found.unit and fits(row.value, row.scaler - found.scaler)
    }
    view: dict[int, ValidatedValue] = {}

    def failed_at(at: int) -> tuple[str, ...] | None:
        is_judged = bool(judged) and judged[0] <= at <= judged[-1]
        names = (run.check for run in failed if run.from_at <= at <= run.to_at)
        return tuple(dict.fromkeys(names)) or (() if is_judged else None)

    for at, value, quality in zip(found.times, found.values, found.quality, strict=True):
        if value is not None and fits(value) and at not in view:
            view[at] = _stored(at, value, quality, failed_at(at))
    for at, row in instead.items():
        if row.method == EDIT or at not in view:
            view[at] = _substitute(row, found.scaler, view.get(at), failed_at(at))
    return [view[at] for at in sorted(view)]


def _stored(at: int, value: int, quality: int, failed: tuple[str, ...] | None) -> ValidatedValue:
    found = (*(codes.BY_NAME[name].code for name in failed or ()), *codes.of_flags(quality))
    if codes.is_doubted(quality, failed or ()):
        grade = Grade.QUESTIONABLE
    elif failed is not None:
        grade, found = Grade.VALIDATED, (codes.VALIDATED, *found)
    else:
        grade, found = Grade.RAW, (codes.VALID_RAW, *found)
    return ValidatedValue(at, value, "raw", grade, tuple(dict.fromkeys(found)), failed=failed)


def _substitute(
    row: Substitute, scaler: int, stored: ValidatedValue | None, failed: tuple[str, ...] | None
) -> ValidatedValue:
    is_edit = row.method == EDIT
    return ValidatedValue(
        int(row.captured_at.timestamp()),
        row.value * 10 ** (row.scaler - scaler),
        "edit" if is_edit else "estimate",
        codes.GRADES[row.method],
        (codes.EDITED if is_edit else codes.ESTIMATED,),
        stored.value if stored else None,
        failed,
    )
