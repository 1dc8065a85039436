"""What leaves the house: the change feed, CSV, Parquet, Green Button, IEC 61968-9."""

import csv
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from archived import archived_until
from command_line import tell
from exported import COUNT, ENERGY, PROFILE, T0, VOLTAGE, block, in_order
from hesper_cloud.app import create_app
from hesper_cloud.cli import app
from hesper_cloud.exports import cim, targets
from hesper_cloud.exports.formats import FORMATS, FormatName
from hesper_cloud.exports.numbers import exact
from hesper_cloud.exports.reading_types import reading_type
from hesper_cloud.exports.running import Wanted, export, octets_of
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Group, Quantity
from hesper_contracts.quality import Quality
from hesper_lab.ports import free_port
from serving_thread import serving_of
from typer.testing import CliRunner

ALL = Wanted("csv", PROFILE, T0 - 86_400, T0 + 86_400)
CIM, MESSAGE = f"{{{cim.READINGS}}}", f"{{{cim.MESSAGE}}}"

# The order of elements: MeterReadings.xsd of IEC 61968-9.
ORDER = {
    f"{MESSAGE}EventMessage": ["Header", "Payload"],
    f"{MESSAGE}Header": [
        "Verb", "Noun", "Revision", "ReplayDetection", "Context", "Timestamp", "Source",
        "AsyncReplyFlag", "ReplyAddress", "AckRequired", "User", "MessageID", "CorrelationID",
    ],
    f"{CIM}MeterReadings": ["EndDeviceEventType", "MeterReading", "ReadingQualityType"],
    f"{CIM}MeterReading": [
        "isCoincidentTrigger", "EndDeviceEvents", "IntervalBlocks", "Meter", "Readings",
        "UsagePoint", "valuesInterval",
    ],
    f"{CIM}IntervalBlocks": ["IntervalReadings", "ReadingType"],
    f"{CIM}IntervalReadings": [
        "reportedDateTime", "source", "timeStamp", "value", "ReadingQualities", "timePeriod",
    ],
    f"{CIM}ReadingQualities": ["comment", "source", "timeStamp", "ReadingQualityType"],
    f"{CIM}Meter": ["mRID", "amrSystem", "Names"],
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDbStore]:
    made = DuckDbStore(tmp_path / "readings.duckdb")
    blocks = [block("M1"), block("M2", quality=int(Quality.OUT_OF_RANGE))]
    made.write(Group({}, blocks, (T0 + 90_000) * 1000))
    yield made
    made.close()


def whole(store: DuckDbStore, name: FormatName) -> bytes:
    return b"".join(octets_of(store, Wanted(name, PROFILE, ALL.start, ALL.end)))


def test_csv_has_exact_numbers_and_holes(store: DuckDbStore) -> None:
    rows = list(csv.DictReader(io.StringIO(whole(store, "csv").decode())))
    assert len(rows) == 2 * COUNT
    first = next(row for row in rows if row["meter"] == "M1")
    assert (first["captured_at"], first[f"{ENERGY} Wh"]) == ("2026-06-01T22:00:00Z", "100000")
    assert first[f"{VOLTAGE} V"] == "230.1"
    assert [row[f"{VOLTAGE} V"] for row in rows].count("") == 2
    assert {row["quality"] for row in rows if row["meter"] == "M2"} == {"16"}


def test_meters_whose_scalers_differ_share_a_column_in_csv_and_have_their_own_in_parquet(
    store: DuckDbStore, tmp_path: Path
) -> None:
    fine = block("M3", energy_scaler=-1)
    store.write(Group({}, [fine], (T0 + 90_000) * 1000))
    lines = csv.reader(io.StringIO(whole(store, "csv").decode()))
    titles = next(lines)
    assert len(set(titles)) == len(titles)
    at = titles.index(f"{ENERGY} Wh")
    first = {}
    for line in lines:
        first.setdefault(line[0], line[at])
    assert first == {"M1": "100000", "M2": "100000", "M3": "1000.0"}
    export(store, Wanted("parquet", PROFILE, ALL.start, ALL.end), str(tmp_path / "lake"))
    table = pq.read_table(tmp_path / "lake")  # a reader refuses columns of the same name
    rows = {row["meter"]: row for row in reversed(table.to_pylist())}
    assert (rows["M1"][f"{ENERGY} e1 Wh"], rows["M1"][f"{ENERGY} e-1 Wh"]) == (10_000, None)
    assert (rows["M3"][f"{ENERGY} e1 Wh"], rows["M3"][f"{ENERGY} e-1 Wh"]) == (None, 10_000)
    assert VOLTAGE in table.column_names


def test_numbers_are_exact() -> None:
    assert [exact(7, 2), exact(-5, -3), exact(12_345, -2), exact(0, -1)] == [
        "700", "-0.005", "123.45", "0.0",
    ]  # fmt: skip


def test_parquet_is_partitioned_by_day_and_read_by_others(
    store: DuckDbStore, tmp_path: Path
) -> None:
    target = tmp_path / "lake"
    told: list[int] = []
    done = export(store, Wanted("parquet", PROFILE, ALL.start, ALL.end), str(target), told.append)
    days = sorted(path.parent.name for path in target.rglob("*.parquet"))
    assert days == ["day=2026-06-01", "day=2026-06-02"]
    assert (done.readings, done.files, told[-1]) == (2 * COUNT, 2, 2 * COUNT)
    table = pq.read_table(target)
    assert table.num_rows == 2 * COUNT
    assert table.schema.field(ENERGY).metadata == {b"scaler": b"1", b"unit": b"30"}
    assert table.column(VOLTAGE).null_count == 2
    assert str(table.schema.field("captured_at").type) == "timestamp[ms, tz=UTC]"


def test_an_export_again_replaces_what_is_there(store: DuckDbStore, tmp_path: Path) -> None:
    for _ in range(2):
        export(store, Wanted("parquet", PROFILE, ALL.start, ALL.end), str(tmp_path / "lake"))
    assert pq.read_table(tmp_path / "lake").num_rows == 2 * COUNT
    for _ in range(2):
        export(store, ALL, "memory://out")
    files = targets._opened("memory://out")[0].ls("/out")
    assert [Path(each["name"]).name for each in files] == [
        "readings-1.0.99.1.0.255-2026-05-31T220000Z-2026-06-02T220000Z.csv"
    ]


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise OSError("the line went")

    for _ in range(2):
        with pytest.raises(targets.TargetError, match="the line went"):
            targets.put(str(tmp_path / "lake" / "out.csv"), pieces())
    assert list((tmp_path / "lake").iterdir()) == []


def test_a_file_that_was_put_outlives_a_power_cut(
    tmp_path: Path, outlives: Callable[[Path], bool]
) -> None:
    file = tmp_path / "lake" / "day=2026-06-01" / "out.csv"
    targets.put(str(file), [b"whole"])
    assert [outlives(each) for each in (file, file.parent, file.parents[1])] == [True] * 3


def test_a_folder_that_takes_files_and_shows_none_is_a_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(targets, "synchronise", unreadable)
    targets.put(str(tmp_path / "out.csv"), [b"whole"])
    assert (tmp_path / "out.csv").read_bytes() == b"whole"


def test_what_is_being_written_is_none_of_a_lakes_files(tmp_path: Path) -> None:
    seen = []

    def pieces() -> Iterator[bytes]:
        yield b"half"
        seen.extend(path.name for path in tmp_path.iterdir())

    targets.put(str(tmp_path / "readings.parquet"), pieces())
    assert [name[0] for name in seen] == ["."], "readers of a folder pass over names with a dot"


@pytest.mark.parametrize(
    "url",
    [
        "http://ann:secret@127.0.0.1:9/out.csv",
        "nowhere://ann:secret@host/out.csv",
        "s3://ann:secret@bucket/out.csv",
        "simplecache::ftp://ann:secret@127.0.0.1:9/out.csv",
        "ftp://ann:sec@secret@127.0.0.1:9/out.csv",
        "ftp://ann:secret/with@127.0.0.1:9/out.csv",
        "ftp://ann:%73ecret@127.0.0.1:9/out.csv",
        "ftp://ann:secret@[127.0.0.1/out.csv",
    ],
)
def test_a_target_that_takes_nothing_is_told_without_its_password(url: str) -> None:
    with pytest.raises(targets.TargetError, match=r"//ann:\*\*\*") as told:
        targets.put(url, [b"readings"])
    for text in (str(told.value), targets.shown(url)):
        assert "ecret" not in text


def test_a_meter_reading_stands_in_the_order_of_the_schema(store: DuckDbStore) -> None:
    message = ET.fromstring(whole(store, "iec61968"))
    assert message.tag == f"{MESSAGE}EventMessage"
    in_order(message, ORDER)
    assert message.findtext(f"{MESSAGE}Header/{MESSAGE}Verb") == "created"
    meters = [each.findtext(f"{CIM}Meter/{CIM}mRID") for each in message.iter(f"{CIM}MeterReading")]
    assert sorted(set(meters)) == ["M1", "M2"]
    kinds = {each.get("ref") for each in message.iter(f"{CIM}ReadingType")}
    assert "0.0.2.1.1.1.12.0.0.0.0.0.0.0.0.0.72.0" in kinds
    codes = {each.get("ref") for each in message.iter(f"{CIM}ReadingQualityType")}
    assert codes == {"1.0.0", "2.5.256"}
    values = {each.text for each in message.iter(f"{CIM}value")}
    assert {"100000", "230.1"} <= values


CIM_TEXTS = {
    f"{CIM}timeStamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",  # xs:dateTime, UTC
    f"{CIM}value": r"-?\d+(\.\d+)?",
    f"{CIM}mRID": r"\S.*",
}
CIM_REFS = {
    f"{CIM}ReadingType": r"-?\d+(\.-?\d+){17}",  # the 18 fields of a reading type
    f"{CIM}ReadingQualityType": r"\d+\.\d+\.\d+",
}
CIM_WITHIN = {
    f"{CIM}IntervalBlocks": [f"{CIM}ReadingType"],
    f"{CIM}IntervalReadings": [f"{CIM}timeStamp", f"{CIM}value"],
    f"{CIM}MeterReading": [f"{CIM}Meter"],
    f"{CIM}Meter": [f"{CIM}mRID"],
    f"{CIM}ReadingQualities": [f"{CIM}ReadingQualityType"],
}


def test_a_meter_reading_has_the_types_and_the_single_elements_of_the_schema(
    store: DuckDbStore,
) -> None:
    """In place of the XSD, which is IEC's and under its licence: what it asks of our elements."""
    readings = ET.fromstring(whole(store, "iec61968")).find(f".//{CIM}MeterReadings")
    assert readings is not None
    known = {*ORDER, *CIM_TEXTS, *CIM_REFS}
    for element in readings.iter():
        assert element.tag in known
        if element.tag in CIM_TEXTS:
            assert re.fullmatch(CIM_TEXTS[element.tag], element.text or "", re.ASCII)
        if element.tag in CIM_REFS:
            assert re.fullmatch(CIM_REFS[element.tag], element.get("ref", ""), re.ASCII)
        for single in CIM_WITHIN.get(element.tag, []):
            assert len(element.findall(single)) == 1


def test_reading_types_say_phase_direction_and_rate() -> None:
    kind = reading_type(Quantity("1.0.52.7.0.255", -1, 35), 900, delta=False)
    assert kind.mrid() == "0.0.0.12.0.1.54.0.0.0.0.0.0.0.64.-1.29.0"
    fed = reading_type(Quantity("1.0.2.8.0.255", 0, 30), 1800, delta=True)
    assert (fed.flow, fed.mrid()) == (19, "0.0.5.4.19.1.12.0.0.0.0.0.0.0.0.0.72.0")
    kinds = {
        "1.0.1.8.2.255": "0.0.2.1.1.1.12.0.0.0.0.2.0.0.0.0.72.0",  # at the second rate
        "1.0.62.8.0.255": "0.0.2.1.19.1.12.0.0.0.0.0.0.0.32.0.72.0",
        "1.0.16.8.0.255": "0.0.2.1.4.1.12.0.0.0.0.0.0.0.0.0.72.0",
        "1.0.7.8.0.255": "0.0.2.1.17.1.12.0.0.0.0.0.0.0.0.0.72.0",
        "1.0.81.8.0.255": "0.0.2.1.0.1.12.0.0.0.0.0.0.0.0.0.72.0",
    }
    assert kinds == {
        name: reading_type(Quantity(name, 0, 30), 900, delta=False).mrid() for name in kinds
    }
    harmonic = reading_type(Quantity("1.0.32.7.3.255", 0, 35), 900, delta=False)
    assert (harmonic.phase, harmonic.tariff) == (128, 0), "the third harmonic is no third rate"
    measured = {
        "1.0.1.7.0.255": "0.0.0.12.1.1.37.0.0.0.0.0.0.0.0.0.38.0",
        "1.0.1.6.0.255": "0.8.0.6.1.1.8.0.0.0.0.0.0.0.0.0.38.0",  # the maximum demand
        "1.0.1.5.0.255": "0.2.0.6.1.1.8.0.0.0.0.0.0.0.0.0.38.0",
    }
    assert measured == {
        name: reading_type(Quantity(name, 0, 27), 900, delta=False).mrid() for name in measured
    }
    volumes = {
        "7.0.3.0.0.255": "0.0.0.1.0.7.58.0.0.0.0.0.0.0.0.0.42.0",
        "8.0.1.0.0.255": "0.0.0.1.0.9.58.0.0.0.0.0.0.0.0.0.42.0",
        "0.1.24.2.1.255": "0.0.0.1.0.0.58.0.0.0.0.0.0.0.0.0.42.0",  # on an M-Bus channel
    }
    assert volumes == {
        name: reading_type(Quantity(name, 0, 13), 900, delta=False).mrid() for name in volumes
    }
    heat = reading_type(Quantity("6.0.1.0.0.255", 6, 25), 900, delta=False)
    assert heat.mrid() == "0.0.2.1.0.12.12.0.0.0.0.0.0.0.0.6.31.0"
    by_the_interval = reading_type(Quantity("1.0.1.29.0.255", 0, 30), 900, delta=False)
    assert by_the_interval.mrid() == "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.0.72.0"


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_of_nothing_is_well_formed(store: DuckDbStore, name: FormatName) -> None:
    octets = b"".join(octets_of(store, Wanted(name, PROFILE, 0, 10)))
    if name in {"espi", "iec61968"}:
        ET.fromstring(octets)
    elif name == "parquet":
        assert octets == b""
    else:
        assert octets.startswith(b"meter,profile,")


@pytest.fixture
def services(head_end: Any, store: DuckDbStore) -> Iterator[Services]:
    databases = head_end.databases
    web = head_end.settings.web.model_copy(update={"port": free_port()})
    settings = head_end.settings.model_copy(update={"web": web})
    sources = Sources(
        settings, databases.registry, databases.authority, store, LatestValues(),
        lambda: datetime.now(UTC),
    )  # fmt: skip
    made = assemble(sources, lambda: 0.0)
    yield made
    made.energy.close()


@pytest.fixture
async def client(head_end: Any, services: Services) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(services, head_end.settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        body = {"username": "vic", "password": "viewing-only-1"}
        token = (await client.post("/api/v1/auth/login", json=body)).json()["token"]
        client.cookies.clear()
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


async def test_the_change_feed_gives_late_and_conflicting_readings(
    client: httpx.AsyncClient, store: DuckDbStore
) -> None:
    path = "/api/v1/readings/changes"
    first = (await client.get(path, params={"limit": 20})).json()
    rest = (await client.get(path, params={"cursor": first["cursor"]})).json()
    assert len(first["rows"]) + len(rest["rows"]) == 2 * COUNT
    assert (await client.get(path, params={"cursor": rest["cursor"]})).json()["rows"] == []
    store.write(Group({}, [block("M1", first=-40, count=2)], (T0 + 95_000) * 1000))
    store.write(Group({}, [block("M2", count=2, by=7)], (T0 + 96_000) * 1000))
    news = (await client.get(path, params={"cursor": rest["cursor"]})).json()["rows"]
    assert [(row["meter"], row["revision"] > 0) for row in news] == [
        ("M1", False), ("M1", False), ("M2", True), ("M2", True),
    ]  # fmt: skip
    assert (await client.get(path, params={"cursor": "nonsense"})).status_code == 400
    gone = await client.get(path, params={"cursor": "00000000-3.0.0.0.0.0"})
    assert (gone.status_code, gone.json()["start_again_from"]) == (410, "")


async def test_exports_by_rest(client: httpx.AsyncClient, store: DuckDbStore) -> None:
    asked = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-03T00:00:00Z", "meter": "M1"}
    for name in FORMATS:
        answer = await client.get("/api/v1/exports/readings", params=asked | {"format": name})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == FORMATS[name].media_type
        assert FORMATS[name].suffix in answer.headers["content-disposition"]
        assert b"M2" not in answer.content
    table = pq.read_table(io.BytesIO((await client.get(
        "/api/v1/exports/readings", params=asked | {"format": "parquet"})).content))  # fmt: skip
    assert table.num_rows == COUNT
    client.headers.pop("Authorization")
    assert (await client.get("/api/v1/exports/readings", params=asked)).status_code == 401


async def test_a_name_is_neither_a_header_nor_a_formula_nor_markup(
    client: httpx.AsyncClient, store: DuckDbStore
) -> None:
    names = ("=cmd|'/C calc'!A0", '</mRID><a b="&', "@SUM(1)")
    for name in names:
        store.write(Group({}, [block(name, count=2)], (T0 + 90_000) * 1000))
    asked = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-03T00:00:00Z"}
    path = "/api/v1/exports/readings"
    answer = await client.get(path, params=asked | {"format": "csv"})
    told = {row["meter"] for row in csv.DictReader(io.StringIO(answer.text))}
    assert told == {"M1", "M2", f"'{names[0]}", names[1], f"'{names[2]}"}
    for form in ("espi", "iec61968"):
        ET.fromstring((await client.get(path, params=asked | {"format": form})).content)
    for profile in ('1.0.99.1.0.255"\r\nX: y', "../../etc", "ü"):
        answer = await client.get(path, params=asked | {"profile": profile})
        assert answer.status_code == 422
    for end in ("2026-05-31T00:00:00Z", "2026-06-01T00:00:00.9Z"):  # times are whole seconds here
        answer = await client.get(path, params=asked | {"to": end})
        assert (answer.status_code, answer.json()["detail"]) == (400, "the range is empty")


NEW_ROUTES = (
    "gaps", "backfills", "meters/M1/profiles", "service-levels", "service-levels/daily-8h",
    "service-levels/daily-8h/misses?day=2026-06-01", "exports/runs", "readings/changes",
    "exports/readings?from=2026-06-01T00:00:00Z&to=2026-06-03T00:00:00Z",
    "exports/readings?validated=true&from=2026-06-01T00:00:00Z&to=2026-06-03T00:00:00Z",
)  # fmt: skip


@pytest.mark.parametrize("route", NEW_ROUTES)
async def test_every_route_wants_somebody_who_may_read(
    client: httpx.AsyncClient, route: str
) -> None:
    assert (await client.get(f"/api/v1/{route}")).status_code == 200, "a viewer reads"
    assert (await client.post(f"/api/v1/{route}")).status_code in {404, 405}, "nobody writes"
    client.headers.pop("Authorization")
    assert (await client.get(f"/api/v1/{route}")).status_code == 401


def test_exports_by_command_line(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    store = DuckDbStore(state / "readings.duckdb")
    store.write(Group({}, [block("M1")], (T0 + 90_000) * 1000))
    store.close()
    (tmp_path / "cloud.toml").write_text('state = "state"\n')
    arguments = ["--from", "2026-06-01", "--to", "2026-06-03", "-c", str(tmp_path / "cloud.toml")]
    done = CliRunner().invoke(app, ["export", "csv", str(tmp_path / "out"), *arguments])
    assert done.exit_code == 0, done.output
    assert "16 readings, 1 files" in done.output
    (file,) = (tmp_path / "out").iterdir()
    assert len(file.read_text().splitlines()) == COUNT + 1
    wrong = CliRunner().invoke(app, ["export", "pdf", str(tmp_path / "out"), *arguments])
    assert wrong.exit_code == 2


def test_a_slip_of_the_pen_is_no_empty_export(services: Services, tmp_path: Path) -> None:
    span = ("--from", "2026-06-01", "--to", "2026-06-03")
    with asked_by_url(services, tmp_path) as export_by_url:
        backwards = export_by_url("--from", "2026-06-03", "--to", "2026-06-01")
        nobody = export_by_url(*span, "--meter", "NOPE")
        assert not (tmp_path / "out").exists()
        for words in ((), ("--meter", "M1"), ("--meter", "M1", "--meter", "M2")):
            assert export_by_url(*span, *words).returncode == 0
    assert (backwards.returncode, nobody.returncode) == (2, 1)
    assert "there is no meter NOPE" in nobody.stderr
    names = sorted(each.name.split("Z", 2)[2] for each in (tmp_path / "out").iterdir())
    assert names == ["-2-meters-79adbcf6.csv", "-M1.csv", ".csv"]


@contextmanager
def asked_by_url(services: Services, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Exports from a head end that runs, by the command line."""
    token = tmp_path / "token"
    with serving_of(services) as server:
        url = f"http://127.0.0.1:{server.port}"
        body = {"username": "vic", "password": "viewing-only-1"}
        answer = httpx.post(f"{url}/api/v1/auth/login", json=body, timeout=60)
        token.write_text(answer.json()["token"])
        yield lambda *words: tell(
            *(tmp_path / "cloud.toml", "export", "csv", tmp_path / "out", *words),
            *("--url", url, "--token-file", token),
        )


def test_an_export_of_some_meters_from_a_head_end_that_runs_has_all_of_them(
    services: Services, store: DuckDbStore, tmp_path: Path
) -> None:
    store.write(Group({}, [block("M3")], (T0 + 90_000) * 1000))
    span = ("--from", "2026-06-01", "--to", "2026-06-03")
    with asked_by_url(services, tmp_path) as export_by_url:
        told = export_by_url(*span, "--meter", "M1", "--meter", "M3")
    assert told.returncode == 0, told.stderr
    (file,) = (tmp_path / "out").iterdir()
    rows = csv.DictReader(io.StringIO(file.read_text()))
    assert [row["meter"] for row in rows] == ["M1"] * COUNT + ["M3"] * COUNT


def test_an_export_that_a_head_end_refuses_says_why(services: Services, tmp_path: Path) -> None:
    archived_until(services.sources.registry, date(2026, 6, 2))
    with asked_by_url(services, tmp_path) as export_by_url:
        told = export_by_url("--from", "2026-06-01", "--to", "2026-06-03")
    assert told.returncode == 1
    assert "are in the archive, not in the store: ask from then on" in told.stderr
    assert not (tmp_path / "out").exists()
