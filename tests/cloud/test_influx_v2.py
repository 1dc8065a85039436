"""The 2.x interface against real servers: VictoriaMetrics for writes, InfluxDB 2.x if there is one.

VictoriaMetrics speaks ``/api/v2/write``. It acknowledges before its disk has the points, so it is
no store for receipts, and nothing but the writer is tried on it. The contract suite runs on an
InfluxDB 2.x or 3.x that the environment names (``HESPER_TEST_INFLUX_URL``, ``…_TOKEN``,
``…_ORG``) or that a Docker engine runs (`test_store_contract`).
"""

import json
import subprocess
import time
from collections.abc import Iterator
from unittest import mock

import httpx
import numpy as np
import pytest
from hesper_cloud.stores.influx_lines import octets_of, reading_lines
from hesper_cloud.stores.influx_v2 import InfluxV2
from hesper_cloud.stores.port import Quantity, StoreUnavailable
from hesper_cloud.stores.rows import Rows, Stamp
from hesper_lab import system
from hesper_lab.ports import answers

T0 = 1_790_000_100
START_S = 60.0


@pytest.fixture(scope="module")
def victoria_url(tmp_path_factory: pytest.TempPathFactory, free_port: int) -> Iterator[str]:
    found = system.find("victoria-metrics")
    if found is None:
        pytest.skip("victoria-metrics is not installed")
    folder = tmp_path_factory.mktemp("victoria")
    url = f"http://127.0.0.1:{free_port}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [found.path, f"-storageDataPath={folder / 'data'}",
             f"-httpListenAddr=127.0.0.1:{free_port}", "-retentionPeriod=100y"],
            stdout=log, stderr=log,
        )  # fmt: skip
    deadline = time.monotonic() + START_S
    while not answers(f"{url}/health"):
        assert server.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, "victoria-metrics does not answer"
        time.sleep(0.05)
    yield url
    server.kill()
    server.wait()


@pytest.mark.integration
def test_ready_bytes_go_through_the_client_to_a_real_server(victoria_url: str) -> None:
    count = 2000
    rows = Rows(
        "1.0.99.1.0.255", (Quantity("1.0.1.8.0.255", 0, 30), Quantity("1.0.32.7.0.255", -1, 35)),
        np.arange(count) % 10, T0 + 900 * (np.arange(count) // 10), np.zeros(count, np.int64),
        np.zeros(count, np.int64), np.full(count, T0), np.array([np.arange(count), [2300] * count]),
        None, (), (),
    )  # fmt: skip
    lines = octets_of(reading_lines(rows, [f"M {n}" for n in range(10)], Stamp(T0 * 1000, 1)))
    server = InfluxV2(victoria_url, "hesper", "hesper", lambda: "no-token")
    server.write(lines, "s")
    server.close()
    httpx.get(f"{victoria_url}/internal/force_flush", timeout=60.0).raise_for_status()
    found = httpx.get(
        f"{victoria_url}/api/v1/export",
        params={"match[]": '{__name__="readings_1.0.1.8.0.255"}', "start": T0 - 1},
        timeout=60.0,
    )
    series = [json.loads(line) for line in found.text.splitlines()]
    assert {each["metric"]["meter"] for each in series} == {f"M {n}" for n in range(10)}
    points = {
        (each["metric"]["meter"], at // 1000, int(value))
        for each in series
        for at, value in zip(each["timestamps"], each["values"], strict=True)
    }
    assert points == {(f"M {n % 10}", T0 + 900 * (n // 10), n) for n in range(count)}


@pytest.mark.integration
def test_a_server_that_is_gone_is_unavailable() -> None:
    server = InfluxV2("http://127.0.0.1:9", "hesper", "hesper", lambda: "no-token")
    with pytest.raises(StoreUnavailable):
        server.write(b"readings v=1i 5", "s")
    server.close()


def test_the_end_of_what_is_deleted_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server deletes both ends of a range: the reading at the end is the next household's."""
    server = InfluxV2("http://127.0.0.1:9", "hesper", "hesper", lambda: "no-token")
    delete = mock.Mock()
    monkeypatch.setattr(server._client, "delete_api", lambda: mock.Mock(delete=delete))
    server.delete("readings", "M1", T0, T0 - 900)
    start, stop, predicate = delete.call_args.args
    server.close()
    assert start.timestamp() == T0 - 900
    assert T0 - 1 < stop.timestamp() < T0
    assert predicate == '_measurement="readings" AND meter="M1"'


@pytest.mark.integration
def test_buckets_keep_what_they_are_told(influx2_server: InfluxV2) -> None:
    for _ in range(2):
        influx2_server.prepare(30)
    rules = influx2_server._client.buckets_api().find_buckets(name=influx2_server._bucket)
    assert rules.buckets[0].retention_rules[0].every_seconds == 30 * 86_400
