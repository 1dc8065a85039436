"""What a gateway tells Prometheus, scraped over a real socket."""

import asyncio
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from hesper_contracts.status import GatewayStatus, LineUse, ModemStatus
from hesper_gateway import metrics
from hesper_gateway.config.metrics import MetricsConfig
from hesper_gateway.errors import ConfigError

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
STATUS = GatewayStatus(
    gateway="gw-1",
    boot_id="b",
    state="online",
    sent_at=NOW,
    started_at=NOW - timedelta(hours=1),
    backlog_batches=3,
    oldest_unreceipted_at=NOW - timedelta(seconds=90),
    meters_total=100,
    meters_reachable=98,
    clock_offset_ms=-250,
    outbox_percent=12,
    modems=(ModemStatus(name="lte", signal_dbm=-71), ModemStatus(name="dead")),
    line_use=LineUse(octets_sent=10, octets_received=20, calls=2, messages=1, cost_micros=1500),
    failures={"timeout": 4},
    pushes_dropped=5,
    storage_failing=True,
)


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()


async def scraped(port: int, take_status) -> str:
    serving = asyncio.create_task(metrics.serve(MetricsConfig(port=port), take_status))
    try:
        await asyncio.sleep(0)
        return await asyncio.to_thread(scrape, port)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def test_a_scrape_tells_the_status(unused_tcp_port):
    text = await scraped(unused_tcp_port, lambda: STATUS)
    for line in (
        "hesper_gateway_meters 100.0",
        "hesper_gateway_meters_reachable 98.0",
        "hesper_gateway_backlog_batches 3.0",
        "hesper_gateway_backlog_age_seconds 90.0",
        "hesper_gateway_outbox_ratio 0.12",
        "hesper_gateway_storage_failing 1.0",
        "hesper_gateway_clock_offset_seconds -0.25",
        'hesper_gateway_failures_total{hop="timeout"} 4.0',
        "hesper_gateway_pushes_dropped_total 5.0",
        'hesper_gateway_line_octets_today{way="received"} 20.0',
        "hesper_gateway_line_cost_today 0.0015",
        'hesper_gateway_modem_signal_dbm{modem="lte"} -71.0',
    ):
        assert line in text.splitlines()
    assert 'modem="dead"' not in text


async def test_what_is_not_known_is_not_told(unused_tcp_port):
    bare = GatewayStatus(gateway="g", boot_id="b", state="online", sent_at=NOW, started_at=NOW)
    text = await scraped(unused_tcp_port, lambda: bare)
    assert "hesper_gateway_backlog_age_seconds 0.0" in text.splitlines()
    assert "clock_offset" not in text
    assert "line_" not in text
    assert "modem" not in text


async def test_each_scrape_is_taken_afresh_by_the_loop(unused_tcp_port):
    port, taken = unused_tcp_port, []

    def take() -> GatewayStatus:
        taken.append(asyncio.get_running_loop())
        return STATUS

    serving = asyncio.create_task(metrics.serve(MetricsConfig(port=port), take))
    await asyncio.sleep(0)
    for _ in range(2):
        await asyncio.to_thread(scrape, port)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert taken == [asyncio.get_running_loop()] * 2


async def test_a_taken_address_is_told(unused_tcp_port):
    port = unused_tcp_port
    first = asyncio.create_task(metrics.serve(MetricsConfig(port=port), lambda: STATUS))
    await asyncio.sleep(0)
    with pytest.raises(ConfigError, match="in use"):
        await metrics.serve(MetricsConfig(port=port), lambda: STATUS)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
