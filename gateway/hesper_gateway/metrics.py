"""Metrics for Prometheus, where gateway.toml asks for them; nothing listens otherwise.

The figures are those of the retained status, taken afresh at every scrape. The library's server
answers in a thread of its own; what it tells is made by the agent's loop, which owns the database.
No label names a meter.
"""

import asyncio
from collections.abc import Callable, Iterator

from hesper_contracts.status import GatewayStatus
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hesper_gateway.config.metrics import MetricsConfig
from hesper_gateway.errors import ConfigError

_ANSWER_S = 5.0
_NO_BACKLOG = 0.0

TakeStatus = Callable[[], GatewayStatus]


async def serve(config: MetricsConfig, take_status: TakeStatus) -> None:
    """Answers scrapes until cancelled.

    Raises:
        ConfigError: the address is taken, or none of this machine's.
    """
    loop = asyncio.get_running_loop()
    registry = CollectorRegistry()
    registry.register(StatusCollector(loop, take_status))
    try:
        server, thread = start_http_server(config.port, config.host, registry)
    except OSError as error:
        raise ConfigError(f"{config.host}:{config.port}: {error.strerror}") from error
    try:
        await loop.create_future()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class StatusCollector(Collector):
    """Makes metrics of the status that the loop takes for each scrape."""

    def __init__(self, loop: asyncio.AbstractEventLoop, take_status: TakeStatus) -> None:
        self._loop = loop
        self._take_status = take_status

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics of this moment; called in the server's thread."""
        taken = asyncio.run_coroutine_threadsafe(self._taken(), self._loop)
        return metrics_of(taken.result(_ANSWER_S))

    def describe(self) -> list[Metric]:
        """Returns nothing: metrics are known once somebody asks, not before the loop turns."""
        return []

    async def _taken(self) -> GatewayStatus:
        return self._take_status()


def metrics_of(status: GatewayStatus) -> Iterator[Metric]:
    """Yields a status as metrics, base units and names as Prometheus wants them."""
    yield _gauge("meters", "Meters that are configured.", status.meters_total)
    yield _gauge("meters_reachable", "Of these, reachable.", status.meters_reachable)
    yield _gauge("backlog_batches", "Batches that wait for a receipt.", status.backlog_batches)
    yield _gauge("backlog_age_seconds", "Age of the oldest of them.", _backlog_age_s(status))
    yield _gauge("outbox_ratio", "Used share of the outbox's quota.", status.outbox_percent / 100)
    yield _gauge("storage_full", "1 while the disk is full.", status.storage_full)
    yield _gauge("storage_failing", "1 while the disk takes no writes.", status.storage_failing)
    yield _gauge("started_at_seconds", "When the agent started.", status.started_at.timestamp())
    if status.clock_offset_ms is not None:
        offset_s = status.clock_offset_ms / 1000
        yield _gauge("clock_offset_seconds", "The gateway's clock against signed time.", offset_s)
    if (ends := status.certificate_expires_at) is not None:
        left_s = (ends - status.sent_at).total_seconds()
        yield _gauge("certificate_expires_seconds", "Until the certificate ends.", left_s)
    failures = CounterMetricFamily(
        "hesper_gateway_failures", "Failed attempts by the hop where they stopped.", labels=["hop"]
    )
    for hop, count in status.failures.items():
        failures.add_metric([hop], count)
    yield failures
    dropped = CounterMetricFamily(
        "hesper_gateway_pushes_dropped", "What meters pushed and was not stored."
    )
    dropped.add_metric([], status.pushes_dropped)
    yield dropped
    yield from _of_lines(status)
    yield from _of_modems(status)


def _of_lines(status: GatewayStatus) -> Iterator[Metric]:
    use = status.line_use
    if use is None:
        return
    octets = GaugeMetricFamily(
        "hesper_gateway_line_octets_today", "Octets on lines since midnight UTC.", labels=["way"]
    )
    octets.add_metric(["sent"], use.octets_sent)
    octets.add_metric(["received"], use.octets_received)
    yield octets
    yield _gauge("line_calls_today", "Calls since midnight UTC.", use.calls)
    yield _gauge("line_messages_today", "Messages (SMS) since midnight UTC.", use.messages)
    yield _gauge("line_cost_today", "Cost since midnight UTC.", use.cost_micros / 1e6)


def _of_modems(status: GatewayStatus) -> Iterator[Metric]:
    signal = GaugeMetricFamily(
        "hesper_gateway_modem_signal_dbm", "Signal of a modem that has one.", labels=["modem"]
    )
    for modem in status.modems:
        if modem.signal_dbm is not None:
            signal.add_metric([modem.name], modem.signal_dbm)
    if signal.samples:
        yield signal


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(f"hesper_gateway_{name}", documentation, value)


def _backlog_age_s(status: GatewayStatus) -> float:
    oldest = status.oldest_unreceipted_at
    return _NO_BACKLOG if oldest is None else (status.sent_at - oldest).total_seconds()
