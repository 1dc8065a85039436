"""Days that are packed beside readings in InfluxDB: never other than the readings say."""

import secrets
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hesper_cloud.stores import influx_packed, influx_packing
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_packed import Curve, curves, day_line
from hesper_cloud.stores.influx_server import InfluxServer, InfluxV1, Precision, Table
from hesper_cloud.stores.port import Block, Group, Integers, Quantity, StoreUnavailable
from hesper_contracts.batch import BatchId

DAY_S, HOUR_S = 86_400, 3600
PROFILE = "1.0.99.1.0.255"
ENERGY, VOLTAGE = Quantity("1.0.1.8.0.255", 0, 30), Quantity("1.0.32.7.0.255", -1, 35)
FIRST = 20_700  # the day 2026-09-04
START = FIRST * DAY_S
DAYS = 8
END = START + DAYS * DAY_S
METERS = ("A", "b,c d", "C")


class Site:
    """A store that packs, and one beside it on the same database that reads nothing but readings.

    Attributes:
        rows: Rows of readings that the packing store was given since it was last asked.
    """

    def __init__(self, connect: Callable[[], InfluxServer], patch: pytest.MonkeyPatch) -> None:
        self._connect, self._patch = connect, patch
        self._sequence = 0
        self.open()

    def open(self) -> None:
        self.rows = 0
        server = self._connect()
        ask = server.query_at_once

        def counted(influxql: str) -> list[Table]:
            found = ask(influxql)
            self.rows += sum(len(table.rows) for table in found) * ("FROM readings" in influxql)
            return found

        self._patch.setattr(server, "query_at_once", counted)
        self.packing = InfluxStore(server)
        self.plain = InfluxStore(self._connect(), sole_writer=False)

    def close(self) -> None:
        self.packing.close()
        self.plain.close()

    def open_again(self) -> None:
        self.close()
        self.open()

    def write(
        self,
        captured: Integers,
        meters: tuple[str, ...] = METERS,
        quantities: tuple[Quantity, ...] = (ENERGY, VOLTAGE),
        more: int = 0,
        store: InfluxStore | None = None,
    ) -> None:
        times = np.tile(captured, len(meters))
        chance = np.random.default_rng(int(times[0]))
        values = np.stack(
            [times // 9 + more, *chance.integers(-9, 9, (len(quantities) - 1, len(times)))]
        )
        missing = np.zeros(values.shape, bool)
        missing[-1, ::7] = len(quantities) > 1
        block = Block(
            PROFILE, quantities, meters, np.repeat(np.arange(len(meters)), len(captured)), times,
            times // DAY_S % 2 * 128, times // HOUR_S % 3, END, values, missing,
        )  # fmt: skip
        self._sequence += 1
        batch = BatchId("gw-1", "00" * 8, self._sequence)
        (store or self.packing).write(Group({batch: "ab"}, [block], END * 1000))

    def maintain(self, now: int = END + DAY_S) -> None:
        self.packing.maintain(now)

    def read(self, span: tuple[int, int] = (START, END)) -> int:
        """Compares every curve with its readings; returns how many of them had to be read."""
        self.rows = 0
        for meter in METERS:
            for name in (ENERGY.logical_name, VOLTAGE.logical_name, "1.0.9.9.9.9"):
                for step_s in (None, HOUR_S, DAY_S):
                    asked = (meter, PROFILE, name, *span, step_s)
                    assert self.packing.series(*asked) == self.plain.series(*asked)
        return self.rows // 18  # for each meter, curve that there is, and step


@pytest.fixture
def site(
    influx_database: Callable[[], InfluxServer], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    made = Site(influx_database, monkeypatch)
    made.write(np.arange(START, END, HOUR_S))
    yield made
    made.close()


@pytest.mark.integration
def test_days_that_are_over_are_read_packed_and_the_others_as_they_are(site: Site) -> None:
    assert site.read() == DAYS * 24
    site.maintain(END)  # the last day has not been over for long
    assert site.read() == 24
    site.maintain()
    assert site.read() == 0
    assert site.read((START + 5 * HOUR_S, END - 7 * HOUR_S)) == (24 - 5) + (24 - 7)
    site.open_again()
    assert site.read() == 0


@pytest.mark.integration
def test_late_and_conflicting_rows_are_read_at_once_and_packed_later(site: Site) -> None:
    site.maintain()
    for turn, now in enumerate((END + 2 * DAY_S, END + 3 * DAY_S)):
        site.write(np.array([START + 2 * DAY_S + 60 + turn]), ("A",))
        site.write(np.array([START + 4 * DAY_S + HOUR_S]), ("C",), more=turn + 1)
        assert site.read() == (24 + turn + 1 + 24) // 3
        site.maintain(END + DAY_S + HOUR_S * turn - 1 + turn)  # it rests for an hour
        if turn:
            site.open_again()
        site.maintain(now)
        assert site.read() == 0


@pytest.mark.integration
def test_what_is_erased_is_in_no_packed_day(site: Site) -> None:
    site.maintain()
    site.packing.erase("b,c d", START + DAY_S + HOUR_S, START + 3 * DAY_S + HOUR_S)
    assert site.read() == (1 + 23) // 3
    site.packing.erase("A")
    site.packing.expire(START + 5 * DAY_S + HOUR_S)
    assert site.read() == 2 * 23 // 3


@pytest.mark.integration
def test_a_day_of_two_layouts_is_read_as_it_is(site: Site) -> None:
    site.write(np.arange(START, END, HOUR_S) + 60, ("C",), (Quantity(ENERGY.logical_name, 3, 30),))
    site.write(np.arange(END, END + 4 * DAY_S, HOUR_S), ("C",), (VOLTAGE,))
    site.maintain(END + 5 * DAY_S)
    assert site.read((START, END + 4 * DAY_S)) == DAYS * 2 * 24 // 3


@pytest.mark.integration
def test_a_day_that_was_begun_by_a_process_that_ended_is_gone_on_with(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influx_packing, "_ROWS_AT_ONCE", 24)
    line, made = day_line, list[bytes | None]()

    def ends(*day: object) -> bytes | None:
        if len(made) == 4:
            raise StoreUnavailable("not now")
        made.append(line(*day))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(influx_packed, "day_line", ends)
    with pytest.raises(StoreUnavailable):
        site.maintain()
    monkeypatch.undo()
    site.open_again()
    site.write(np.array([END - 60]))
    assert 0 < site.read() <= DAYS * 24 + 1
    site.maintain()
    assert site.read() == 0


@pytest.mark.integration
def test_a_packing_that_the_server_takes_late_does_not_hide_what_came_since(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, late = site.packing._server, list[bytes]()
    write = server.write

    def hesitant(lines: bytes, precision: Precision) -> None:
        if lines.startswith(b"packed,") and b"captured_at=" in lines:
            late.append(lines)
            raise StoreUnavailable("no answer in 30 s")
        write(lines, precision)

    monkeypatch.setattr(server, "write", hesitant)
    with pytest.raises(StoreUnavailable):
        site.maintain()
    site.write(np.array([END - 60]))
    write(late[0], "s")
    site.open_again()
    assert site.read() == DAYS * 24 + 1
    site.maintain()
    assert site.read() == 0


@pytest.mark.integration
def test_a_database_of_before_is_packed_too(site: Site) -> None:
    site.packing.prepare()
    site.packing._ledger.delete("days")
    site.open_again()
    site.maintain()
    assert site.read() == 0


@pytest.mark.integration
def test_nothing_that_was_packed_outlives_a_second_writer(site: Site) -> None:
    site.maintain()
    site.write(np.array([START + DAY_S + 60]), ("C",), store=site.plain)
    site.open_again()
    assert site.read() == DAYS * 24
    site.maintain()
    assert site.read() == 0


@pytest.mark.integration
def test_nothing_is_packed_beyond_the_retention(influx_url: str) -> None:
    now = int(np.datetime64("now").astype(int)) // DAY_S * DAY_S
    server = InfluxV1(influx_url, f"kept-{secrets.token_hex(4)}")
    store = InfluxStore(server, keep_days=5)
    none = np.zeros(84, np.int64)
    captured = now - np.arange(84, 0, -1) * HOUR_S
    block = Block(PROFILE, (ENERGY,), ("A",), none, captured, none, none, now, none[None], None)
    store.write(Group({BatchId("gw-1", "00" * 8, 1): "ab"}, [block], now * 1000))
    store.maintain(now + DAY_S)
    packed = [row[0] for table in server.query("SELECT made FROM packed") for row in table.rows]
    assert packed == [now - days * DAY_S for days in (2, 1)]
    curve = store.series("A", PROFILE, ENERGY.logical_name, now - 4 * DAY_S, now, None)
    assert len(curve.times) == 84
    store.close()


TAGS = {"meter": "A", "profile": PROFILE, "clock_status": "0"}
COLUMNS = ["time", ENERGY.logical_name, VOLTAGE.logical_name, "quality", "layout"]


class Known:
    """Layouts: 7 has two quantities."""

    def quantities(self, name: int) -> tuple[Quantity, ...]:
        return {7: (ENERGY, VOLTAGE), 8: (ENERGY,)}[name]


def packed(rows: list[list[int | None]], made: int = 5) -> str | None:
    line = day_line([Table(TAGS, COLUMNS, rows)], Known(), FIRST, made)  # type: ignore[arg-type,list-item]
    return None if line is None else line.decode()


def test_a_day_as_a_line_and_back() -> None:
    values = [None, 2**61, -(2**61), 0, None, *range(40, 48)]
    rows = [[START + n * 900, value, None, n % 2, 7] for n, value in enumerate(values)]
    line = packed(rows)
    assert line is not None
    assert line.startswith(f'packed,meter=A,profile={PROFILE} captured_at="[5,{START},900,12]",')
    texts = dict(part.split('="') for part in line.split(" ")[1].split('",')[:4])
    read = (texts[name] for name in (ENERGY.logical_name, "captured_at", "quality"))
    found = [START, *read, 7, 5, None]
    table = Table({}, [], [found])
    whole = dict(curves(table, {7: ENERGY}))
    times = [START + n * 900 for n in range(13)]
    assert whole == {FIRST: Curve(times, values, [n % 2 for n in range(13)], [7] * 13)}
    assert dict(curves(table, {8: ENERGY})) == {FIRST: Curve([], [], [], [])}


@pytest.mark.parametrize(
    ("place", "value"),
    [(1, None), (1, "[4,1]"), (2, "[4,1]"), (3, None), (4, None), (5, 0), (5, 6), (6, 5)],
)
def test_a_packed_day_counts_only_where_all_of_it_is_of_one_packing(
    place: int, value: object
) -> None:
    row: list[object] = [START, "[5,1]", "[5,1]", "[5,0]", 7, 5, 4]
    assert len(dict(curves(Table({}, [], [row]), {7: ENERGY}))) == 1
    row[place] = value
    assert dict(curves(Table({}, [], [row]), {7: ENERGY})) == {}


@pytest.mark.parametrize(
    "rows",
    [
        [[START + n, n, n, 0, 7] for n in range(11)],
        [[START + n, n, None, 0, 7 + n % 2] for n in range(20)],
        [[START + n, 2**62, 0, 0, 7] for n in range(20)],
        [[START + n, n % 2 * 10**9, 0, 0, 7] for n in range(6000)],
        [],
    ],
    ids=["few", "two layouts", "large", "long", "none"],
)
def test_what_is_better_read_as_it_is_is_not_packed(rows: list[list[int | None]]) -> None:
    assert packed(rows) is None
