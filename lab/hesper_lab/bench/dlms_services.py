"""A ciphered GET and an association, both sides of them, without the network.

Our client and our server are in this process and their octets go straight from one to the other.
The peers are clients of the same server; see `peers`.
"""

from __future__ import annotations

from typing import Any, Final

from hesper_dlms.client import Client
from hesper_dlms.server import LogicalServer, WrapperConnection

from hesper_lab.bench import dlms_meter, peers
from hesper_lab.bench.exchanges import drive
from hesper_lab.bench.rows import Row, microseconds, row

SECONDS: Final = 1.5
TARGET_GET_US: Final = 40.0
TARGET_ASSOCIATION_US: Final = 500.0
_MICROSECONDS: Final = 1e6


def run(seconds: float = SECONDS) -> list[Row]:
    """Measure both, each for so many seconds with each peer."""
    server = LogicalServer(dlms_meter.BenchMeter())
    client, connection = _associated(server)
    if drive(client.get(dlms_meter.ENERGY), connection).value != dlms_meter.VALUE:
        raise AssertionError("the benchmark's own meter does not answer its own value")
    get_us = microseconds(lambda: drive(client.get(dlms_meter.ENERGY), connection), seconds)
    association_us = microseconds(lambda: _associated(server), seconds)
    return [
        *_beside("dlms.get.ciphered", get_us, TARGET_GET_US, "get", seconds),
        *_beside(
            "dlms.association.gmac", association_us, TARGET_ASSOCIATION_US, "association", seconds
        ),
    ]


def _associated(server: LogicalServer) -> tuple[Client, WrapperConnection]:
    connection = WrapperConnection(server)
    client = dlms_meter.new_client()
    drive(client.connect(), connection)
    return client, connection


def _beside(name: str, ours_us: float, target_us: float, kind: str, seconds: float) -> list[Row]:
    """Return a row for each peer, or one without where there is none."""
    measured = [(peer.name, peer_us(peer, kind, seconds)) for peer in peers.ALL]
    found = [(peer, value) for peer, value in measured if value is not None]
    if not found:
        return [row(name, ours_us, "µs", target_us)]
    return [row(name, ours_us, "µs", target_us, peer) for peer in found]


def peer_us(peer: peers.Peer, kind: str, seconds: float) -> float | None:
    """Return what a peer's client and our server take together, in microseconds of CPU time."""
    server = LogicalServer(dlms_meter.BenchMeter())
    with peers.served(server) as on_port:
        task: dict[str, Any] = dlms_meter.task(kind, seconds) | {"port": on_port.port}
        client = peer.measure(task)
        if client is None:
            return None
        return client.value + on_port.spent_s * _MICROSECONDS / client.done
