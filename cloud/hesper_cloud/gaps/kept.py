"""The captures of one profile's recent days, for every meter, as few octets as it takes."""

from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, pairwise, repeat

import numpy as np

from hesper_cloud.gaps.comb import ROWS, Comb
from hesper_cloud.gaps.runs import learned_period, phase_of
from hesper_cloud.stores.port import EARLIEST, LATEST, Flags, Integers

_NOWHERE = -1
_OCTETS = 8
_FEWEST_ALIKE = 3
_LONGEST_STEP_S = 86_400
NONE: Integers = np.zeros(0, dtype=np.int64)


class Kept:
    """What is kept of one profile: nothing is lost, whatever the times are.

    Captures that are no teeth of their meter's comb, or whose meter has none yet, are kept as they
    are, eight octets each.

    Attributes:
        span_s: How long captures are kept.
        since: What was captured before this instant may not be known.
        read: The meters of which all that is stored is known.
    """

    def __init__(self) -> None:
        self.span_s = self.since = 0
        self.read: set[str] = set()
        self._places: dict[str, int] = {}  # number of the comb * ROWS + row
        self._combs: list[Comb] = []
        self._open: dict[int, int] = {}  # step → number of the comb with room
        self._loose: dict[str, array[int]] = {}

    def take(self, meters: Sequence[str], index: Integers, times: Integers) -> None:
        """Takes captures, each of the meter that its index points to; one may be named twice."""
        if not len(times):
            return
        places = self._places_of(meters)
        loose = self._combed(places[index], times)
        if loose.any():
            self._keep_loose(meters, index[loose], times[loose])

    def _places_of(self, meters: Sequence[str]) -> Integers:
        places = map(self._places.get, meters, repeat(_NOWHERE))
        return np.fromiter(places, np.int64, len(meters))

    def _combed(self, places: Integers, times: Integers) -> Flags:
        """Puts captures into combs; says of each whether it is still to be kept."""
        loose = np.ones(len(times), dtype=bool)
        for comb, own in self._by_comb(places):
            loose[own] = ~comb.add(places[own] % ROWS, times[own])
        return loose

    def _by_comb(self, places: Integers) -> Iterator[tuple[Comb, Integers]]:
        """Yields each comb that places are in, and which of the places those are."""
        numbers = places // ROWS
        for number in np.flatnonzero(np.bincount(numbers[places != _NOWHERE])).tolist():
            yield self._combs[number], np.flatnonzero(numbers == number)

    def _keep_loose(self, meters: Sequence[str], index: Integers, times: Integers) -> None:
        """Keeps captures that no comb takes; meters of whom few tell of a step get one at once."""
        order = np.argsort(index, kind="stable")
        index, times = index[order], times[order]
        firsts = np.flatnonzero(np.diff(index, prepend=_NOWHERE))
        names = [meters[place] for place in index[firsts].tolist()]
        steps = _steps(times, firsts) * self._are_new(names)
        self._begin_all(names, steps, times[firsts])
        run = np.repeat(np.arange(len(names)), np.diff(firsts, append=len(times)))
        combed = steps[run] > 0
        self.take(names, run[combed], times[combed])
        self._hold(names, run[~combed], times[~combed])

    def _are_new(self, names: Sequence[str]) -> Flags:
        """Says of meters whether nothing is kept of them; of none where one is named twice."""
        if len(set(names)) < len(names):
            return np.zeros(len(names), dtype=bool)
        loose = np.fromiter(map(self._loose.__contains__, names), bool, len(names))
        new: Flags = ~loose & (self._places_of(names) == _NOWHERE)
        return new

    def _hold(self, names: Sequence[str], run: Integers, times: Integers) -> None:
        """Keeps captures as they are; meters that tell of a step by now get a comb."""
        if not len(run):
            return
        octets = np.int64(times).tobytes()
        firsts = np.flatnonzero(np.diff(run, prepend=_NOWHERE))
        ends = [*firsts[1:].tolist(), len(run)]
        of = [names[place] for place in run[firsts].tolist()]
        for meter, first, end in zip(of, firsts.tolist(), ends, strict=True):
            held = self._loose.setdefault(meter, array("q"))
            held.frombytes(octets[_OCTETS * first : _OCTETS * end])
        self._comb({meter for meter in of if meter not in self._places})

    def _comb(self, meters: Collection[str]) -> None:
        """Gives meters a comb where their loose captures tell of which step."""
        combed: dict[str, array[int]] = {}
        for meter in meters:
            times = sorted(set(self._loose[meter]))
            tooth = _regular(times) or _tooth(np.array(times, dtype=np.int64))
            if tooth is not None:
                self._begin(meter, *tooth)
                combed[meter] = self._loose.pop(meter)
        index = np.repeat(np.arange(len(combed)), [len(times) for times in combed.values()])
        every = np.fromiter(chain.from_iterable(combed.values()), np.int64, len(index))
        self.take(tuple(combed), index, every)

    def _begin(self, meter: str, step_s: int, phase: int) -> None:
        place = self._places.get(meter, _NOWHERE)
        if place == _NOWHERE or self._combs[place // ROWS].step_s != step_s:
            number = self._with_room(step_s)
            place = self._places[meter] = number * ROWS + self._combs[number].add_meters(1).start
        self._combs[place // ROWS].begin(place % ROWS, phase)

    def _begin_all(self, names: Sequence[str], steps: Integers, captured: Integers) -> None:
        """Gives meters that have none a comb, each by its step, if any, and one of its captures."""
        for step_s in np.unique(steps[steps > 0]).tolist():
            own = np.flatnonzero(steps == step_s)
            while len(own):
                number = self._with_room(step_s)
                rows = self._combs[number].add_meters(len(own))
                now, own = own[: len(rows)], own[len(rows) :]
                self._combs[number].begin(np.array(rows), captured[now] % step_s)
                places = range(number * ROWS + rows.start, number * ROWS + rows.stop)
                self._places.update(
                    zip((names[each] for each in now.tolist()), places, strict=True)
                )

    def _with_room(self, step_s: int) -> int:
        """Returns the number of a comb with room for a meter."""
        number = self._open.get(step_s, _NOWHERE)
        if number == _NOWHERE or self._combs[number].is_full():
            number = self._open[step_s] = len(self._combs)
            self._combs.append(Comb(step_s))
        return number

    def put(self, found: Mapping[str, Integers]) -> None:
        """Takes all that is stored of meters; each gets the comb that fits it best.

        What came in since it was read is not in it, and is kept.
        """
        every = dict.fromkeys(found, NONE) | self.times(tuple(found), EARLIEST, LATEST + 1)
        for meter, times in found.items():
            every[meter] = np.union1d(every[meter], times) if len(every[meter]) else times
        self.empty(tuple(found))
        for meter, tooth in _teeth(every):
            self._begin(meter, *tooth)
        counts = [len(times) for times in every.values()]
        index = np.repeat(np.arange(len(counts)), counts)
        self.take(tuple(every), index, np.concatenate([*every.values(), NONE]))
        self.read.update(found)

    def times(self, meters: Sequence[str], start: int, end: int) -> dict[str, Integers]:
        """Returns meters' captures in a range, ascending and distinct; of some there are none."""
        found: dict[str, Integers] = {}
        places = self._places_of(meters)
        for comb, own in self._by_comb(places):
            place, times = comb.times(places[own] % ROWS, start, end)
            firsts = np.flatnonzero(np.diff(place, prepend=_NOWHERE))
            of = (meters[each] for each in own[place[firsts]].tolist())
            found.update(zip(of, np.split(times, firsts[1:]), strict=False))
        for meter in self._loose.keys() & set(meters) if self._loose else ():
            loose = self._distinct(meter)
            loose = loose[(loose >= start) & (loose < end)]
            if len(loose):
                found[meter] = np.union1d(found.get(meter, NONE), loose)
        return found

    def news(self, meters: Sequence[str]) -> Flags:
        """Says of meters whether their captures may be others than when it was asked last."""
        places = self._places_of(meters)
        found: Flags = places == _NOWHERE
        for comb, own in self._by_comb(places):
            found[own] = comb.news(places[own] % ROWS)
        for place, meter in enumerate(meters):
            found[place] |= meter in self._loose or meter not in self.read
        return found

    def _distinct(self, meter: str) -> Integers:
        """Returns a meter's loose captures; what came again takes no room from then on."""
        held = self._loose[meter]
        found = np.unique(np.array(held))
        if len(found) < len(held):
            self._loose[meter] = array("q", found.tobytes())
        return found

    def at_once(self, teeth: int) -> int:
        """Returns of how many meters the captures have so many teeth, one at least."""
        widest = max((comb.teeth() for comb in self._combs), default=0)
        return max(1, teeth // widest) if widest else teeth

    def empty(self, meters: Sequence[str]) -> None:
        """Forgets meters' captures; more may be stored of them than is known."""
        self.read.difference_update(meters)
        places = self._places_of(meters)
        for comb, own in self._by_comb(places):
            comb.clear(places[own] % ROWS)
        for meter in self._loose.keys() & set(meters) if self._loose else ():
            del self._loose[meter]

    def remove(self, meter: str, start: int, end: int) -> None:
        """Forgets a meter's captures with ``start <= capture < end``."""
        if meter in self._places:
            number, row = divmod(self._places[meter], ROWS)
            self._combs[number].remove(row, start, end)
        if meter in self._loose:
            self._let_go(meter, start, end)

    def trim(self, before: int) -> None:
        """Forgets captures from before an instant; those of combs may stay a little longer."""
        for comb in self._combs:
            comb.trim(before)
        for meter in list(self._loose):
            self._let_go(meter, EARLIEST, before)

    def _let_go(self, meter: str, start: int, end: int) -> None:
        rest = array("q", (at for at in self._loose.pop(meter) if not start <= at < end))
        if rest:
            self._loose[meter] = rest


def _steps(times: Integers, firsts: Integers) -> Integers:
    """Returns how far apart the captures of each run are, if they are a few alike; else 0.

    Runs are not empty; ``firsts`` says where each begins.
    """
    lengths = np.diff(firsts, append=len(times))
    distances = np.diff(times, append=0)  # what stands at the last of a run says nothing
    steps = distances[firsts]
    odd = distances != np.repeat(steps, lengths)
    odd[firsts + lengths - 1] = False
    alike = (lengths >= _FEWEST_ALIKE) & (steps > 0) & (steps <= _LONGEST_STEP_S)
    return steps * (alike & ~np.logical_or.reduceat(odd, firsts))


def _teeth(every: Mapping[str, Integers]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yields those meters whose captures tell of a step, with step and phase."""
    some = {meter: times for meter, times in every.items() if len(times) >= _FEWEST_ALIKE}
    if not some:
        return
    firsts = np.cumsum([0, *(len(times) for times in some.values())])[:-1]
    steps = _steps(np.concatenate(list(some.values())), firsts).tolist()
    for (meter, times), step_s in zip(some.items(), steps, strict=True):
        tooth = (step_s, int(times[0]) % step_s) if step_s else _tooth(times)
        if tooth is not None:
            yield meter, tooth


def _regular(times: Sequence[int]) -> tuple[int, int] | None:
    """Returns step and phase of a few captures that are all equally far apart."""
    if len(times) < _FEWEST_ALIKE:
        return None
    step_s = times[1] - times[0]
    if step_s > _LONGEST_STEP_S or any(after - at != step_s for at, after in pairwise(times)):
        return None
    return step_s, times[0] % step_s


def _tooth(times: Integers) -> tuple[int, int] | None:
    """Returns step and phase: of a few captures if all are alike, else the commonest of many."""
    distances = np.diff(times)
    if len(distances) >= _FEWEST_ALIKE - 1 and (distances == distances[0]).all():
        step_s = int(distances[0])
        return (step_s, int(times[0]) % step_s) if step_s <= _LONGEST_STEP_S else None
    learned_s = learned_period(times)
    if learned_s is None or not 0 < learned_s <= _LONGEST_STEP_S:
        return None
    return learned_s, phase_of(times, learned_s)
