"""Brings the estimates of one meter's register up to date with what is stored now.

Gaps are looked for around a span, far enough to see both ends of the longest one that is
estimated, and each gap is filled as a whole: the result depends on stored values and edits alone,
whatever day it was asked for.
"""

from collections.abc import Mapping
from itertools import pairwise

from hesper_cloud.db.energy import Substitute
from hesper_cloud.quantities import is_net
from hesper_cloud.stores.port import Series
from hesper_cloud.thresholds import Estimation, Thresholds, Validation
from hesper_cloud.validation import estimate
from hesper_cloud.validation.checks import capacity_passed
from hesper_cloud.validation.codes import EDIT, is_doubted
from hesper_cloud.validation.estimate import Estimate, Gap
from hesper_cloud.validation.misread import misread_of
from hesper_cloud.validation.sheet import in_steps, is_summable
from hesper_cloud.validation.substitutes import Curve, Renewal
from hesper_cloud.validation.surroundings import Span, Surroundings


def renewal(
    around: Surroundings, curve: Curve, span: Span, validation: Validation, limits: Thresholds
) -> Renewal:
    """Returns what the estimates that touch a span should be.

    Gaps over which the register would have grown by more than any load can make it are left. What
    was read wrong is no end of a gap.
    """
    found, held = around.found, around.held
    edits = [row for row in held if row.method == EDIT]
    known = known_values(around)
    may_fall = is_net(curve.logical_name)
    wrong = set() if may_fall else _wrong(known)
    right = {at: value for at, value in known.items() if at not in wrong}
    times, values = list(right), list(right.values())
    touched = [
        gap if may_fall else _counted_on(gap, limits, validation.estimation)
        for gap in estimate.gaps(times, values, span.period_s)
        if gap.after_at > span.start and gap.before_at < span.end
    ]
    highest_w = in_steps(limits.highest_load_w, found.scaler)
    growth = _growth(right, span.period_s, _doubted(found, edits)) if touched else {}
    wanted = [
        each
        for gap in touched
        if (gap.after - gap.before) * 3600 <= highest_w * (gap.after_at - gap.before_at)
        for each in _filled(gap, around, span, growth, validation)
        if each.captured_at not in known
        and not any(abs(each.captured_at - at) * 2 < span.period_s for at in wrong)
    ]
    lowest = min([span.start, *(gap.before_at for gap in touched)])
    highest = max([span.end, *(gap.after_at for gap in touched)])
    before = [
        row
        for row in held
        if row.method != EDIT and lowest <= row.captured_at.timestamp() <= highest
    ]
    beside = frozenset(at for at in wrong if lowest < at < highest)
    return Renewal(curve, found.unit, wanted, before, beside)


def _counted_on(gap: Gap, limits: Thresholds, rules: Estimation) -> Gap:
    """Returns a gap with its end counted on, where the register passed its last digit within it.

    Not of a gap that is longer than is interpolated: within it the meter may have been exchanged.
    """
    if gap.after >= gap.before or gap.after_at - gap.before_at > rules.interpolate_up_to_s:
        return gap
    capacity = capacity_passed(gap.before, gap.after, limits.rollover_from_percent)
    return gap._replace(after=gap.after + capacity, capacity=capacity)


def _filled(
    gap: Gap, around: Surroundings, span: Span, growth: Mapping[int, int], validation: Validation
) -> list[Estimate]:
    """Returns the estimates of a gap, in the coarser scaler of both its ends.

    So the days of either can add them up, whatever scaler the register has by now.
    """
    finest = around.found.scaler
    scaler = max(around.coarser.get(at, finest) for at in (gap.before_at, gap.after_at))
    steps = int(10 ** (scaler - finest))
    coarse = gap._replace(
        before=-(-gap.before // steps), after=gap.after // steps, capacity=gap.capacity // steps
    )
    rules = (validation.estimation, validation.holidays)
    found = estimate.fill(coarse, span.period_s, growth, span.zone, rules)
    return [each._replace(scaler=scaler) for each in found]


def _growth(known: Mapping[int, int], period_s: int, doubted: set[int]) -> dict[int, int]:
    """Returns the energy of intervals by their end, of which neither end is doubted."""
    return {
        at: after - before
        for (before_at, before), (at, after) in pairwise(known.items())
        if abs(at - before_at - period_s) * 2 < period_s and not {before_at, at} & doubted
    }


def _wrong(known: dict[int, int]) -> set[int]:
    """Returns when a register that only rises was read wrong."""
    told = zip(known, misread_of([*known.values()]), strict=True)
    return {at for at, is_wrong in told if is_wrong}


def _doubted(found: Series, edits: list[Substitute]) -> set[int]:
    """Returns when something doubtful was captured that nobody has edited."""
    edited = {int(row.captured_at.timestamp()) for row in edits}
    doubtful = {quality for quality in set(found.quality) if is_doubted(quality, ())}
    flagged = zip(found.times, found.quality, strict=True)
    return {at for at, quality in flagged if quality in doubtful} - edited


def known_values(around: Surroundings) -> dict[int, int]:
    """Returns values by capture time, ascending; an edit counts before what is stored."""
    found, known = around.found, dict[int, int]()
    edits = [row for row in around.held if row.method == EDIT]
    for at, value in zip(found.times, found.values, strict=True):
        if value is not None and is_summable(value):
            known.setdefault(at, value)
    for row in edits:
        if row.unit == found.unit and row.scaler >= found.scaler:
            at = int(row.captured_at.timestamp())
            value = row.value * 10 ** (row.scaler - found.scaler)
            if is_summable(value):
                known[at] = value
    return dict(sorted(known.items()))
