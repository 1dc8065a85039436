"""InfluxDB beyond the contract: line protocol, errors, the 2.x interface."""

import base64
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hesper_cloud.latest import LatestValues
from hesper_cloud.settings import InfluxSettings, Settings, StoreSettings
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_lines import (
    as_revision,
    batch_lines,
    fields_of,
    flag_line,
    layout_id,
    octets_of,
    reading_lines,
    tag,
    untagged,
)
from hesper_cloud.stores.influx_ql import quoted
from hesper_cloud.stores.influx_server import InfluxV1, refusal
from hesper_cloud.stores.influx_v2 import InfluxV2
from hesper_cloud.stores.opening import influx_server, open_store
from hesper_cloud.stores.port import Block, Group, Quantity, StoreRefused, StoreUnavailable
from hesper_cloud.stores.rows import Rows, Stamp
from hesper_contracts.batch import BatchId

T0 = 1_790_000_100
QUANTITIES = (Quantity("1.0.1.8.0.255", 0, 30), Quantity("1.0.32.7.0.255", -1, 35))
PROFILE = "1.0.99.1.0.255"
LAYOUT = layout_id(QUANTITIES)


def rows(missing: bool) -> Rows:
    absent = np.array([[False, True], [False, False]]) if missing else None
    return Rows(
        "1.0.99.1.0.255", QUANTITIES, np.array([0, 1]), np.array([T0, T0 + 900]),
        np.array([0, 128]), np.array([0, 4]), np.array([T0 + 1, T0 + 901]),
        np.array([[10, 11], [2300, -5]]), absent, (), (),
    )  # fmt: skip


def lines_of(found: Rows, meters: list[str], stamp: Stamp) -> list[str]:
    """Returns the lines of a write, without the feed that ends each."""
    text = octets_of(reading_lines(found, meters, stamp)).decode()
    assert text.endswith("\n")
    return text.splitlines()


def test_rows_as_lines() -> None:
    first, second = lines_of(rows(missing=False), ["M 1", "a,b"], Stamp(7, 3))
    assert first == (
        "readings,clock_status=0,meter=M\\ 1,profile=1.0.99.1.0.255 1.0.1.8.0.255=10i,"
        f"1.0.32.7.0.255=2300i,layout={LAYOUT}i,stored_at_ms=7i,commit=3i,quality=0i,"
        f"received_at={T0 + 1}i {T0}"
    )
    assert second == (
        "readings,clock_status=128,meter=a\\,b,profile=1.0.99.1.0.255 1.0.1.8.0.255=11i,"
        f"1.0.32.7.0.255=-5i,layout={LAYOUT}i,stored_at_ms=7i,commit=3i,quality=4i,"
        f"received_at={T0 + 901}i {T0 + 900}"
    )
    first, second = lines_of(rows(missing=True), ["M1", "M2"], Stamp(7, 3))
    assert " 1.0.1.8.0.255=10i,1.0.32.7.0.255=2300i,layout=" in first
    assert " 1.0.32.7.0.255=-5i,layout=" in second
    assert octets_of(reading_lines(rows(missing=True).take(slice(2, 2)), [], Stamp(7, 3))) == b""


def test_a_revision_is_a_point_of_its_own_that_changes_the_quality_of_the_first() -> None:
    line = lines_of(rows(missing=False), ["M 1", "b"], Stamp(7, 7))[0]
    revision = as_revision(line, "00ff")
    assert revision.startswith("revisions,clock_status=0,meter=M\\ 1,profile=1.0.99.1.0.255,")
    assert ",revision=00ff 1.0.1.8.0.255=10i," in revision
    assert flag_line(line, 129) == (
        f"readings,clock_status=0,meter=M\\ 1,profile=1.0.99.1.0.255 quality=129i {T0}"
    )


def test_names_survive_and_cannot_break_out_of_a_query() -> None:
    for name in ("a\\", "100%", "%5C", "x' OR 1=1 --", "plain"):
        assert untagged(tag(name)) == name
    assert quoted("x' OR 'a'='a") == "'x\\' OR \\'a\\'=\\'a'"
    assert fields_of([QUANTITIES[0], QUANTITIES[0], QUANTITIES[1]]) == [
        "1.0.1.8.0.255", "1.0.1.8.0.255#2", "1.0.32.7.0.255"
    ]  # fmt: skip


def test_a_batch_id_is_a_point_at_its_sequence() -> None:
    line = batch_lines({BatchId("gw-1", "00" * 8, 2**40): "ab"}, 7)
    assert line == f'batches,epoch={"00" * 8},gateway=gw-1 digest="ab",stored_at=7i {2**40}'


def test_a_servers_limits_are_not_the_datas_fault() -> None:
    assert isinstance(
        refusal(400, "partial write: max-values-per-tag limit exceeded"), StoreUnavailable
    )
    assert isinstance(refusal(503, "busy"), StoreUnavailable)
    assert isinstance(refusal(401, "authorization failed"), StoreUnavailable)
    assert isinstance(refusal(400, "unable to parse 'x'"), StoreRefused)


def test_an_absent_server_is_unavailable() -> None:
    store = InfluxStore(InfluxV1("http://127.0.0.1:9", "hesper"))
    with pytest.raises(StoreUnavailable):
        store.known([BatchId("gw-1", "00" * 8, 1)])
    store.close()


class Recorder(BaseHTTPRequestHandler):
    """Answers as InfluxDB 2.x does, and keeps what it was asked."""

    seen: list[tuple[str, str, str, bytes]]
    status = 204

    def _answer(self, status: int, body: bytes = b"") -> None:
        length = int(self.headers.get("Content-Length") or 0)
        asked = self.rfile.read(length)
        token = self.headers.get("Authorization", "")
        type(self).seen.append((self.command, self.path, token, asked))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        if self.path.startswith("/api/v2/buckets"):
            self._answer(201, b'{"id": "1", "name": "hesper", "retentionRules": []}')
            return
        if self.path.startswith("/query"):
            self._answer(200, b'{"results": []}')
            return
        self._answer(self.status, b'{"message": "as you like"}' if self.status > 299 else b"")

    def do_GET(self) -> None:
        if self.path.startswith("/api/v2/buckets"):
            self._answer(200, b'{"buckets": []}')
            return
        series = b'{"name": "readings", "columns": ["time", "v"], "values": [[1, 2]]}'
        self._answer(200, b'{"results": [{"series": [' + series + b"]}]}\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the standard library
        return


@pytest.fixture
def recorder() -> Iterator[tuple[str, type[Recorder]]]:
    class Mine(Recorder):
        seen: list[tuple[str, str, str, bytes]] = []  # noqa: RUF012 - one list per test

    server = ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", Mine
    server.shutdown()
    thread.join()
    server.server_close()


def test_version_2_writes_ready_bytes_and_reads_influxql(
    recorder: tuple[str, type[Recorder]],
) -> None:
    url, heard = recorder
    server = InfluxV2(url, "hesper", "00000000000000aa", lambda: "s3cret")
    server.prepare()
    server.write(b"readings v=1i 5", "s")
    assert [table.rows for table in server.query("SELECT v FROM readings")] == [[[1, 2]]]
    (_, path, token, body) = heard.seen[-2]
    assert path.startswith("/api/v2/write?")
    assert "bucket=hesper" in path
    assert "precision=s" in path
    assert (token, body) == ("Token s3cret", b"readings v=1i 5")
    assert heard.seen[-1][1].startswith("/query?db=hesper")
    heard.status = 503
    with pytest.raises(StoreUnavailable):
        server.write(b"readings v=1i 5", "s")
    heard.status = 400
    with pytest.raises(StoreRefused):
        server.write(b"rubbish", "s")
    server.close()


@pytest.mark.parametrize("kind", ["token_file", "password_file"])
def test_a_token_or_password_that_changes_counts_at_once(
    kind: str, recorder: tuple[str, type[Recorder]], tmp_path: Path
) -> None:
    url, heard = recorder
    file = tmp_path / "secret"
    file.write_text("before\n")
    settings = InfluxSettings.model_validate({"url": url, "username": "hesper", kind: file})
    server = influx_server(settings)
    server.write(b"readings v=1i 5", "s")
    file.write_text("after\n")
    server.write(b"readings v=1i 5", "s")
    list(server.query("SELECT v FROM readings"))
    server.query_at_once("SELECT v FROM readings")
    ledger = server.ledger()
    list(ledger.query("SELECT v FROM readings"))
    ledger.close()
    server.prepare()
    server.delete("readings", "M1")
    if kind == "token_file":
        before, after = "Token before", "Token after"
    else:
        before, after = (
            "Basic " + base64.b64encode(f"hesper:{told}".encode()).decode()
            for told in ("before", "after")
        )
    assert [told for _, _, told, _ in heard.seen] == [before] + [after] * (len(heard.seen) - 1)
    file.unlink()
    with pytest.raises(StoreUnavailable, match="secret"):
        server.write(b"readings v=1i 5", "s")
    with pytest.raises(FileNotFoundError):
        influx_server(settings)
    server.close()


def test_the_settings_choose_the_server(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t\n")
    second = influx_server(InfluxSettings(token_file=tmp_path / "token"))
    assert isinstance(second, InfluxV2)
    second.close()
    store = open_store(Settings(state=tmp_path, store=StoreSettings(kind="influx")))
    assert isinstance(store, InfluxStore)
    store.close()


@pytest.mark.integration
def test_what_is_older_than_the_retention_does_not_hold_up_the_rest(influx_url: str) -> None:
    now = int(time.time())
    store = InfluxStore(InfluxV1(influx_url, f"kept-{secrets.token_hex(4)}"), keep_days=30)
    captured = np.array([now - 90 * 86_400, now - 86_400])
    none = np.zeros(2, np.int64)
    block = Block(
        "1.0.99.1.0.255", QUANTITIES[:1], ("M1",), none, captured, none, none, now,
        np.array([[1, 2]]), None,
    )  # fmt: skip
    batch = BatchId("gw-1", "00" * 8, 1)
    written = store.write(Group({batch: "ab"}, [block], now * 1000))
    assert (written.new, written.accepted[0].tolist()) == (1, [False, True])
    assert [each.captured_at for each in store.export(0, now)] == [now - 86_400]
    assert store.known([batch]) == {batch: "ab"}
    store.close()


@pytest.mark.integration
def test_no_reader_waits_for_a_group_that_is_being_written(
    influx_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = InfluxV1(influx_url, f"busy-{secrets.token_hex(4)}")
    store = InfluxStore(server)
    write, under_way, read = server.write, threading.Event(), threading.Event()
    in_time: list[bool] = []

    def slow(*body: Any) -> None:
        under_way.set()
        in_time.append(read.wait(60))
        write(*body)

    monkeypatch.setattr(server, "write", slow)
    block = Block(
        "1.0.99.1.0.255", QUANTITIES, ("M1",), np.array([0]), np.array([T0]),
        np.array([0]), np.array([0]), T0, np.array([[10], [2300]]), None,
    )  # fmt: skip
    group = Group({BatchId("gw", "00112233445566ff", 1): "ab" * 32}, [block], T0 * 1000)
    writer = threading.Thread(target=store.write, args=[group])
    writer.start()
    assert under_way.wait(60)
    asked = ("M1", "1.0.99.1.0.255", "1.0.1.8.0.255", 0, 2**33, None)
    assert store.series(*asked).times == []
    read.set()
    writer.join()
    assert store.series(*asked).times == [T0]
    assert in_time == [True]
    store.close()


def test_a_point_that_is_only_in_part_there_yet_is_not_read(influx_url: str) -> None:
    server = InfluxV1(influx_url, f"half-{secrets.token_hex(4)}")
    store = InfluxStore(server)
    block = Block(
        "1.0.99.1.0.255", QUANTITIES, ("M1",), np.array([0]), np.array([T0]),
        np.array([0]), np.array([0]), T0, np.array([[10], [2300]]), None,
    )  # fmt: skip
    store.write(Group({BatchId("gw", "00112233445566ff", 1): "ab" * 32}, [block], T0 * 1000))
    series = "readings,clock_status=0,meter=M1,profile=1.0.99.1.0.255"
    server.write(f"{series} 1.0.1.8.0.255=11i,quality=0i {T0 + 900}".encode(), "s")
    server.write(f"{series.replace('M1', 'M2')} 1.0.1.8.0.255=11i {T0 + 900}".encode(), "s")
    assert [(each.meter, each.captured_at) for each in store.export(0, 2**33)] == [("M1", T0)]
    (columns,) = store.rows("1.0.99.1.0.255", 0, 2**33)
    assert columns.captured_at.tolist() == [T0]
    assert [each.captured_at for each in store.readings("M1", None, 0, 2**33, 9)] == [T0]
    server.write(f"{series} 1.0.1.8.0.255=12i,layout={LAYOUT}i {T0 + 1800}".encode(), "s")
    for step_s in (None, 900):
        assert store.series("M1", "1.0.99.1.0.255", "1.0.1.8.0.255", 0, 2**33, step_s).values == [
            10
        ]
    store.close()


@pytest.mark.integration
def test_quantities_that_another_consumer_was_first_to_store_are_seen(influx_url: str) -> None:
    database = f"hesper-{secrets.token_hex(4)}"
    one, other = (InfluxStore(InfluxV1(influx_url, database), sole_writer=False) for _ in range(2))
    energy, voltage = QUANTITIES
    span = (T0 - 900, T0 + 3600)
    for sequence, quantities in enumerate((QUANTITIES[:1], QUANTITIES)):
        for asked in QUANTITIES:
            one.series("M1", PROFILE, asked.logical_name, *span, None)
        block = Block(
            PROFILE, quantities, ("M1",), np.array([0]), np.array([T0 + sequence * 900]),
            np.array([0]), np.array([0]), T0, np.array([[7]] * len(quantities)), None,
        )  # fmt: skip
        other.write(Group({BatchId("gw-1", "00" * 8, sequence): "ab"}, [block], T0 * 1000))
    assert one.series("M1", PROFILE, energy.logical_name, *span, None).values == [7, 7]
    assert one.series("M1", PROFILE, voltage.logical_name, *span, None).values == [7]
    assert one.fleet_series(PROFILE, voltage.logical_name, *span, 900).values == [7]
    latest = LatestValues()
    latest.refresh(one)
    assert [each.value for each in latest.of("M1")] == [7, 7]
    version, _ = latest.changed_since(0)
    latest.refresh(one)
    assert latest.changed_since(version) == (version, set())
    one.close()
    other.close()
