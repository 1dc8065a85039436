"""Green Button: what a reader of the published schema and of RFC 4287 finds in the feed.

The limits are those of usage.xsd of NAESB REQ.21 (ESPI) 3.3: every coded field is a union of named
codes with the plain 16 bits, so its numbers are what a schema can find wrong.
"""

import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from exported import COUNT, ENERGY, POWER, PROFILE, T0, VOLTAGE, block, captured, in_order
from hesper_cloud.exports import espi
from hesper_cloud.exports.advances import advance
from hesper_cloud.exports.curves import Curve, Value
from hesper_cloud.exports.running import Wanted, octets_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Group, Quantity
from hesper_cloud.validation.codes import Grade
from hesper_contracts.quality import Quality

ATOM, ESPI = f"{{{espi.ATOM}}}", f"{{{espi.ESPI}}}"
Links = dict[str, set[str]]
Entry = tuple[ET.Element, Links]
ODD = "M 3/ä%&<"
INT48, UINT32, UINT16, INT16 = 2**47 - 1, 2**32 - 1, 2**16 - 1, (-(2**15), 2**15 - 1)

ORDER = {
    f"{ATOM}entry": ["id", "link", "title", "content", "published", "updated"],
    f"{ESPI}ReadingType": [
        "accumulationBehaviour", "commodity", "consumptionTier", "currency", "dataQualifier",
        "defaultQuality", "flowDirection", "intervalLength", "kind", "phase",
        "powerOfTenMultiplier", "timeAttribute", "tou", "uom",
    ],
    f"{ESPI}IntervalBlock": ["interval", "IntervalReading"],
    f"{ESPI}interval": ["duration", "start"],
    f"{ESPI}timePeriod": ["duration", "start"],
    f"{ESPI}IntervalReading": ["cost", "ReadingQuality", "timePeriod", "value"],
    f"{ESPI}ReadingQuality": ["quality"],
    f"{ESPI}ServiceCategory": ["kind"],
    f"{ESPI}UsagePoint": ["roleFlags", "ServiceCategory", "status"],
}  # fmt: skip
LIMITS = {
    "accumulationBehaviour": (0, UINT16), "commodity": (0, UINT16), "flowDirection": (0, UINT16),
    "kind": (0, UINT16), "phase": (0, UINT16), "uom": (0, UINT16), "quality": (0, UINT16),
    "powerOfTenMultiplier": INT16, "tou": INT16, "intervalLength": (0, UINT32),
    "duration": (0, UINT32), "start": (-(2**63), 2**63 - 1), "value": (-INT48, INT48),
}  # fmt: skip
CURRENT_CODES = {
    "accumulationBehaviour": {0, 1, 4, 12}, "flowDirection": {0, 1, 19}, "quality": {10, 14},
    "kind": {0, 12, 37, 54}, "uom": {29, 38, 72}, "phase": {0, 128}, "commodity": {1},
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDbStore]:
    made = DuckDbStore(tmp_path / "readings.duckdb")
    doubtful = block("M2", quality=int(Quality.OUT_OF_RANGE))
    made.write(Group({}, [block("M1"), doubtful, block(ODD)], (T0 + 90_000) * 1000))
    yield made
    made.close()


def exported(store: DuckDbStore) -> bytes:
    return b"".join(octets_of(store, Wanted("espi", PROFILE, T0 - 86_400, T0 + 86_400)))


def links(entry: ET.Element) -> Links:
    found: Links = defaultdict(set)
    for link in entry.findall(f"{ATOM}link"):
        found[link.attrib["rel"]].add(link.attrib["href"])
    return found


def test_green_button_stands_in_the_order_of_the_schema(store: DuckDbStore) -> None:
    feed = ET.fromstring(exported(store))
    assert feed.tag == f"{ATOM}feed"
    in_order(feed, ORDER)
    assert len(feed.findall(f".//{ESPI}UsagePoint")) == 3
    kinds = [
        {child.tag.rpartition("}")[2]: child.text for child in each}
        for each in feed.findall(f".//{ESPI}ReadingType")
    ]
    energy = next(kind for kind in kinds if kind["uom"] == "72")
    assert energy == {
        "accumulationBehaviour": "4", "commodity": "1", "flowDirection": "1",
        "intervalLength": "900", "kind": "12", "phase": "0", "powerOfTenMultiplier": "1",
        "tou": "0", "uom": "72",
    }  # fmt: skip
    ids = [each.text for each in feed.findall(f"{ATOM}entry/{ATOM}id")]
    assert len(set(ids)) == len(ids)


def test_green_button_energy_is_the_advance_per_interval(store: DuckDbStore) -> None:
    feed = ET.fromstring(exported(store))
    entries = feed.findall(f"{ATOM}entry")
    blocks = [
        each.find(f".//{ESPI}IntervalBlock")
        for each in entries
        if f"M1/MeterReading/{ENERGY}/IntervalBlock" in str(each.find(f"{ATOM}link").get("href"))  # type: ignore[union-attr]
    ]
    readings = [each for found in blocks for each in found.findall(f"{ESPI}IntervalReading")]  # type: ignore[union-attr]
    assert len(readings) == COUNT - 1
    assert {each.findtext(f"{ESPI}value") for each in readings} == {"250"}
    assert {each.findtext(f"{ESPI}timePeriod/{ESPI}duration") for each in readings} == {"900"}
    assert readings[0].findtext(f"{ESPI}timePeriod/{ESPI}start") == str(T0)


def test_a_meter_whose_scaler_changed_has_a_reading_type_for_each(store: DuckDbStore) -> None:
    store.write(Group({}, [block("M1", COUNT, 4, energy_scaler=-1)], (T0 + 90_000) * 1000))
    feed = ET.fromstring(exported(store))
    found: dict[str, list[str]] = defaultdict(list)
    for entry in feed.findall(f"{ATOM}entry"):
        itself = unquote(str(entry.find(f"{ATOM}link").get("href")))  # type: ignore[union-attr]
        if f"M1/MeterReading/{ENERGY}" in itself:
            place = itself.split("/")[3]
            found[place] += [each.text or "" for each in entry.iter(f"{ESPI}powerOfTenMultiplier")]
            found[place] += sorted({each.text or "" for each in entry.iter(f"{ESPI}value")})
    assert found == {ENERGY: ["1", "250"], f"{ENERGY}e-1u30": ["-1", "250"]}


@pytest.mark.parametrize("scalers", [(1, -1), (-1, 1), (0, -3)])
def test_the_interval_between_two_scalers_is_told_in_the_finer(
    tmp_path: Path, scalers: tuple[int, int]
) -> None:
    """As one export, and as windows of which one has the captures before the change as its past."""
    store = DuckDbStore(tmp_path / "changed.duckdb")
    for place, scaler in enumerate(scalers):
        part = block("M1", 4 * place, 4, energy_scaler=scaler)
        part.values[1] = (10_000 + 100 * np.arange(4 * place, 4 * place + 4)) * 10 ** (1 - scaler)
        store.write(Group({}, [part], (T0 + 90_000) * 1000))
    ends = [T0 - 86_400, T0 + 3600, T0 + 3601, T0 + 86_400]
    whole, *parts = [
        energies_by_name(store, start, end) for start, end in [(ends[0], ends[-1]), *pairwise(ends)]
    ]
    store.close()
    assert sorted(whole) == [(T0 + 900 * place, 900, 1000) for place in range(7)]
    assert sorted(each for part in parts for each in part) == sorted(whole)
    assert [len(part) for part in parts] == [3, 1, 3]


def energies_by_name(store: DuckDbStore, start: int, end: int) -> list[tuple[int, int, float]]:
    """Start, duration and Wh of each interval, whatever reading it stands in."""
    feed = ET.fromstring(b"".join(octets_of(store, Wanted("espi", PROFILE, start, end))))
    scalers, found = {}, []
    for entry in feed.findall(f"{ATOM}entry"):
        (itself,) = links(entry)["self"]
        for each in entry.iter(f"{ESPI}powerOfTenMultiplier"):
            scalers[itself.split("/")[3]] = int(each.text or "")
    for name in (name for name in scalers if name.startswith(ENERGY)):
        found += [(at, s, value * 10 ** scalers[name]) for at, s, value in intervals(feed, name)]
    return found


@pytest.mark.parametrize("scalers", [(0, 1, 0), (1, -1, 1, -1)])
def test_a_scaler_that_changes_back_tells_no_energy_twice(
    tmp_path: Path, scalers: tuple[int, ...]
) -> None:
    store = DuckDbStore(tmp_path / "changed.duckdb")
    for place, scaler in enumerate(scalers):
        part = block("M1", 4 * place, 4, energy_scaler=scaler)
        part.values[1] = (10_000 + 100 * np.arange(4 * place, 4 * place + 4)) * 10 ** (1 - scaler)
        store.write(Group({}, [part], (T0 + 90_000) * 1000))
    ends = [T0 - 86_400, T0 + 3600, T0 + 3601, T0 + 9900, T0 + 86_400]
    whole, *parts = [
        energies_by_name(store, start, end) for start, end in [(ends[0], ends[-1]), *pairwise(ends)]
    ]
    store.close()
    every = [(T0 + 900 * place, 900, 1000) for place in range(4 * len(scalers) - 1)]
    assert sorted(whole) == sorted(each for part in parts for each in part) == every


def test_a_scaler_that_is_wrong_makes_no_interval(store: DuckDbStore) -> None:
    store.write(Group({}, [block("M1", COUNT, 4, energy_scaler=3)], (T0 + 90_000) * 1000))
    feed = ET.fromstring(exported(store))
    readings = {each for entry in feed.findall(f"{ATOM}entry") for each in links(entry)["self"]}
    names = {each.split("/")[3] for each in readings if f"M1/MeterReading/{ENERGY}" in each}
    assert len(names) == 2
    counts = [len(intervals(feed, name)) for name in names]
    assert sum(counts) == 3 * (COUNT - 1) + 3


def test_an_advance_is_as_good_as_the_worse_of_its_ends(store: DuckDbStore) -> None:
    store.write(Group({}, [block("M4", 0, 2), block("M4", 3, 2)], (T0 + 90_000) * 1000))
    guessed = block("M4", 2, 1, quality=int(Quality.ESTIMATED))
    store.write(Group({}, [guessed], (T0 + 90_000) * 1000))
    feed = ET.fromstring(exported(store))
    grades = [
        reading.findtext(f"{ESPI}ReadingQuality/{ESPI}quality")
        for entry in feed.findall(f"{ATOM}entry")
        if f"M4/MeterReading/{ENERGY}/" in str(entry.find(f"{ATOM}link").get("href"))  # type: ignore[union-attr]
        for reading in entry.iter(f"{ESPI}IntervalReading")
    ]
    assert grades == ["14", "9", "9", "14"]


@pytest.mark.parametrize("window_s", [86_400, 3600, 900])
@pytest.mark.parametrize("length_s", [86_400, 3600, 900])
def test_windows_that_follow_each_other_have_each_interval_once(
    tmp_path: Path, window_s: int, length_s: int
) -> None:
    first, last = T0 + 60, T0 + 60 + 2 * 86_400
    count = 2 * 86_400 // length_s + 1
    rows = block("M1", 0, count)
    rows.captured_at[:] = T0 + 60 + length_s * np.arange(count)
    store = DuckDbStore(tmp_path / "more.duckdb")
    store.write(Group({}, [rows], (last + 90_000) * 1000))
    whole = energies(store, first, last + window_s)
    edges = range(T0, last + window_s, window_s)
    told = [each for start in edges for each in energies(store, start, start + window_s)]
    store.close()
    assert len(whole) == count - 1
    assert (sorted(told), len(told)) == (sorted(whole), len(set(told)))


def energies(store: DuckDbStore, start: int, end: int) -> list[tuple[int, int, int]]:
    """Start, duration and value of each interval of energy."""
    done: list[int] = []
    wanted = Wanted("espi", PROFILE, start, end)
    feed = ET.fromstring(b"".join(octets_of(store, wanted, done.append)))
    count = sum(part.row_count for part in store.rows(PROFILE, start, end, None))
    assert sum(done[-1:]) == count, "what lies before the start is not counted"
    assert bool(feed.findall(f".//{ESPI}UsagePoint")) == bool(count), "nor does it stand there"
    return intervals(feed, ENERGY)


def intervals(feed: ET.Element, name: str) -> list[tuple[int, int, int]]:
    """Start, duration and value of each interval of a quantity."""
    found = []
    for entry in feed.findall(f"{ATOM}entry"):
        if f"MeterReading/{name}/" in str(entry.find(f"{ATOM}link").get("href")):  # type: ignore[union-attr]
            for each in entry.iter(f"{ESPI}IntervalReading"):
                start, duration, value = (
                    int(each.findtext(f".//{ESPI}{name}") or "")
                    for name in ("start", "duration", "value")
                )
                found.append((start, duration, value))
    return found


def test_energy_that_was_captured_by_the_interval_is_given_as_it_is(store: DuckDbStore) -> None:
    energy, taken = Quantity("1.0.1.29.0.255", 0, 30), [25, 30, 25, 40]
    store.write(Group({}, [captured("M5", {energy: taken})], (T0 + 90_000) * 1000))
    feed = ET.fromstring(exported(store))
    ends = range(T0, T0 + 900 * len(taken), 900)
    assert intervals(feed, energy.logical_name) == [
        (at - 900, 900, value) for at, value in zip(ends, taken, strict=True)
    ]


def test_net_energy_may_be_less_than_nothing_and_a_register_may_not(store: DuckDbStore) -> None:
    net, taken = Quantity("1.0.16.8.0.255", 0, 30), Quantity("1.0.1.8.0.255", 0, 30)
    falling = [100, 50, -30, 20]
    store.write(Group({}, [captured("M6", {net: falling, taken: falling})], (T0 + 90_000) * 1000))
    feed = ET.fromstring(exported(store))
    steps = [(T0, 900, -50), (T0 + 900, 900, -80), (T0 + 1800, 900, 50)]
    assert intervals(feed, net.logical_name) == steps
    assert intervals(feed, taken.logical_name)[-1:] == steps[2:]
    assert not any(value < 0 for *_, value in intervals(feed, taken.logical_name))


def test_a_register_that_was_read_wrong_has_not_used_what_it_shows(store: DuckDbStore) -> None:
    low, high = Quantity("1.0.1.8.0.255", 1, 30), Quantity("1.0.2.8.0.255", 1, 30)
    rising, net = Quantity("1.0.3.8.0.255", 1, 32), Quantity("1.0.16.8.0.255", 1, 30)
    twice = Quantity("1.0.4.8.0.255", 1, 32)
    curves = {
        net: [500_000, 499_990, 0, 500_020, 500_030],
        low: [500_000, 500_010, 0, 500_020, 500_030],
        high: [500_000, 500_010, 900_000, 500_020, 500_030],
        twice: [500_000, 900_000, 900_010, 500_020, 500_030],
        rising: [500_000, 500_010, 900_000, 900_010, 900_020],
    }
    store.write(Group({}, [captured("M8", curves)], (T0 + 90_000) * 1000))
    feed = ET.fromstring(exported(store))
    assert intervals(feed, low.logical_name)[-2:] == [(T0, 900, 10), (T0 + 2700, 900, 10)]
    assert intervals(feed, high.logical_name) == [(T0, 900, 10), (T0 + 2700, 900, 10)]
    assert intervals(feed, twice.logical_name) == [(T0 + 900, 900, 10), (T0 + 2700, 900, 10)]
    assert len(intervals(feed, rising.logical_name)) == 4
    assert intervals(feed, net.logical_name) == [(T0, 900, -10), (T0 + 2700, 900, 10)]
    only = Wanted("espi", PROFILE, T0 + 2700, T0 + 86_400, ["M8"])
    feed = ET.fromstring(b"".join(octets_of(store, only)))
    assert intervals(feed, low.logical_name) == [(T0 + 2700, 900, 10)]


@pytest.mark.parametrize("shown", [5, 500_060, 900_000])
@pytest.mark.parametrize("last", [2, 3, 4])
def test_what_comes_after_a_window_tells_that_its_end_was_read_wrong(
    store: DuckDbStore, shown: int, last: int
) -> None:
    """Also of little, which a load could have used."""
    rising = Quantity("1.0.1.8.0.255", 1, 30)
    curves = {rising: [500_000, 500_010, shown, 500_030, 500_040]}
    store.write(Group({}, [captured("M8", curves)], (T0 + 90_000) * 1000))
    wanted = Wanted("espi", PROFILE, T0, T0 + 900 * last + 1, ["M8"])
    counts = list[int]()
    feed = ET.fromstring(b"".join(octets_of(store, wanted, counts.append)))
    told = [(T0, 900, 10), (T0 + 2700, 900, 10)]
    assert intervals(feed, rising.logical_name) == told[: 2 if last == 4 else 1]
    assert counts[-1] == last + 1


def test_what_the_next_piece_of_a_curve_shows_counts() -> None:
    rising = Quantity("1.0.1.8.0.255", 1, 30)
    shown = [500_000, 500_010, 900_000, 500_030, 500_040]
    values = [Value(T0 + 900 * n, each, Grade.RAW, ()) for n, each in enumerate(shown)]
    pieces = [Curve("M8", PROFILE, rising, part) for part in (values[:3], values[3:])]
    feed = ET.fromstring(b"".join(espi.write(pieces, range(T0, T0 + 86_400))))
    assert intervals(feed, rising.logical_name) == [(T0, 900, 10), (T0 + 2700, 900, 10)]


def test_a_register_that_began_anew_has_brought_what_lies_between(store: DuckDbStore) -> None:
    """After its last digit, and after 32 bits; not where it was exchanged, or too much for it."""
    decimal, binary = Quantity("1.0.1.8.0.255", 1, 30), Quantity("1.0.2.8.0.255", 0, 30)
    exchanged, jumped = Quantity("1.0.3.8.0.255", 0, 32), Quantity("1.0.4.8.0.255", 1, 32)
    curves = {
        decimal: [99_990, 99_998, 3, 9],
        binary: [2**32 - 500, 2**32 - 100, 50, 70],
        exchanged: [50_000, 50_100, 3, 9],
        jumped: [95_000, 95_010, 3, 9],  # 50 kvarh in a quarter of an hour
    }
    store.write(Group({}, [captured("M8", curves)], (T0 + 90_000) * 1000))
    feed = ET.fromstring(exported(store))
    told = {each: [value for *_, value in intervals(feed, each.logical_name)] for each in curves}
    assert told[decimal][-3:] == [8, 5, 6]
    assert told[binary] == [400, 150, 20]
    assert told[exchanged] == [100, 6]
    assert told[jumped] == [10, 6]


@pytest.mark.parametrize(
    ("failed", "codes", "before", "after", "scaler", "grown"),
    [
        (("rollover",), ("2.0.1", "2.4.1"), 95_000, 3, 1, 5_003),  # by thresholds of its type
        (("rollover",), ("2.3.4",), 99_998, 3, 1, 5),  # another quantity fell, as ingest has it
        (("rollover",), ("2.7.0",), 95_000, 3, 1, 5_003),  # of an edit
        (("rollover",), ("2.4.1",), 10 * (2**32 - 5), 10, 0, None),  # a capacity that nobody knows
        (("reverse",), ("2.3.4",), 99_998, 3, 1, None),
        ((), ("2.0.1", "2.4.1"), 99_998, 3, 1, None),  # ingest alone says so
        (None, ("2.4.1",), 95_000, 3, 1, None),  # 50 kWh in a quarter of an hour
        (None, ("2.4.1",), 99_998, 3, 1, 5),
        (None, ("2.3.4",), 99_998, 3, 1, None),
        (None, ("1.0.0",), 99_998, 3, 1, 5),
        (None, ("1.0.0",), 3, 99_998, 1, 99_995),
    ],
)
def test_what_the_checks_say_of_a_register_that_fell_counts(
    failed: tuple[str, ...] | None,
    codes: tuple[str, ...],
    before: int,
    after: int,
    scaler: int,
    grown: int | None,
) -> None:
    ends = (
        Value(T0, before, Grade.RAW, ()),
        Value(T0 + 900, after, Grade.RAW, codes, failed=failed),
    )
    assert advance(Quantity(ENERGY, scaler, 30), *ends, 900) == grown


@pytest.mark.parametrize(("length_s", "grown"), [(900, 5), (7200, 5), (8100, None)])
@pytest.mark.parametrize("period_s", [900, 8100])
def test_a_register_that_fell_within_a_long_gap_may_be_another(
    length_s: int, grown: int | None, period_s: int
) -> None:
    ends = [Value(T0 + at, v, Grade.RAW, ()) for at, v in ((0, 99_998), (length_s, 3))]
    told = advance(Quantity(ENERGY, 1, 30), ends[0], ends[1], period_s)
    assert told == (5 if period_s == length_s else grown)


def test_gas_and_water_are_services_of_their_own(store: DuckDbStore) -> None:
    gas, water = Quantity("7.0.3.0.0.255", -3, 13), Quantity("8.0.1.0.0.255", -3, 13)
    power, peak = Quantity("1.0.1.7.0.255", 0, 27), Quantity("1.0.1.6.0.255", 0, 27)
    curves = {gas: [10, 12], water: [5, 5], power: [900, 100], peak: [1000, 1000]}
    store.write(Group({}, [captured("M7", curves)], (T0 + 90_000) * 1000))
    feed = ET.fromstring(exported(store))
    points, types = {}, {}
    for entry in feed.findall(f"{ATOM}entry"):
        (itself,) = links(entry)["self"]
        if not itself.startswith("UsagePoint/M7"):
            continue
        point, *of_quantity = itself.split("/")[1:]
        if not of_quantity:
            points[point] = entry.findtext(f".//{ESPI}ServiceCategory/{ESPI}kind")
        for kind in entry.iter(f"{ESPI}ReadingType"):
            names = ("commodity", "dataQualifier", "accumulationBehaviour", "kind", "uom")
            types[point, of_quantity[1]] = [kind.findtext(f"{ESPI}{name}") for name in names]
    assert points == {"M7": "0", "M7;1": "1", "M7;2": "2"}
    assert types == {
        ("M7;1", gas.logical_name): ["7", None, "1", "58", "42"],
        ("M7;2", water.logical_name): ["9", None, "1", "58", "42"],
        ("M7", power.logical_name): ["1", None, "12", "37", "38"],
        ("M7", peak.logical_name): ["1", "8", "6", "8", "38"],
    }
    assert intervals(feed, gas.logical_name) == [(T0, 0, 10), (T0 + 900, 0, 12)]


def test_entries_find_each_other_by_their_links(store: DuckDbStore) -> None:
    """As readers of Green Button do it: ``related`` of one is ``self`` or ``up`` of the other."""
    of_kind: dict[str, list[Entry]] = defaultdict(list)
    for entry in ET.fromstring(exported(store)).findall(f"{ATOM}entry"):
        content = entry.find(f"{ATOM}content")
        assert content is not None
        assert content.attrib == {"type": "application/xml"}  # RFC 4287, 4.1.3.3
        of_kind[content[0].tag.removeprefix(ESPI)].append((content[0], links(entry)))

    def children(
        kind: str, of: dict[str, set[str]]
    ) -> list[tuple[ET.Element, dict[str, set[str]]]]:
        return [each for each in of_kind[kind] if of["related"] & (each[1]["self"] | each[1]["up"])]

    seen = {}
    for _, point in of_kind["UsagePoint"]:
        (itself,) = point["self"]
        for _, reading in children("MeterReading", point):
            assert len(children("ReadingType", reading)) == 1
            blocks = children("IntervalBlock", reading)
            count = sum(len(each.findall(f"{ESPI}IntervalReading")) for each, _ in blocks)
            (path,) = reading["self"]
            seen[unquote(itself.split("/")[1]), path.rsplit("/", 1)[1]] = count
    for meter in ("M1", "M2", ODD):
        counts = [seen.pop((meter, name)) for name in (POWER, ENERGY, VOLTAGE)]
        assert counts == [COUNT, COUNT - 1, COUNT - 1]
    assert not seen


def test_numbers_stay_within_what_the_schema_holds(store: DuckDbStore) -> None:
    huge = block("M9")
    huge.values[0, :4] = [INT48, INT48 + 1, -INT48, -(2**63)]
    store.write(Group({}, [huge], (T0 + 90_000) * 1000))
    feed = ET.fromstring(exported(store))
    for element in feed.iter():
        name = element.tag.rpartition("}")[2]
        if not element.tag.startswith(ESPI) or name not in LIMITS:
            continue
        lowest, highest = LIMITS[name]
        assert lowest <= int(element.text or "") <= highest
        assert int(element.text or "") in CURRENT_CODES.get(name, {int(element.text or "")})
    told = {int(each.text or "") for each in feed.iter(f"{ESPI}value")}
    assert {INT48, -INT48} <= told, "what has more than 48 bits is left out, and nothing else"


def test_the_feed_is_one_of_atom(store: DuckDbStore) -> None:
    """RFC 4287, 4.1.1: one id, one title, one moment, somebody who wrote it."""
    feed = ET.fromstring(exported(store))
    for name in ("id", "title", "updated", "author"):
        assert len(feed.findall(f"{ATOM}{name}")) == 1
    assert feed.findtext(f"{ATOM}author/{ATOM}name")
