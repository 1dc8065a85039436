"""Gateways for the ingest benchmark, in a process of their own: they publish and check receipts.

Each gateway has a connection, an account and an outbox epoch of its own and keeps as many batches
under way as its window allows; the next leaves when a receipt has come whose signature holds and
whose digest is the batch's own. All connections are served by one thread, so that a thousand
gateways cost what their messages cost. With a pace, what is due and finds no room in the window
waits, as it would in an outbox. The task comes as one line of JSON on stdin; the answer goes to
stdout, a line when all are connected, one each second, one at the end.
"""

from __future__ import annotations

import gc
import json
import resource
import selectors
import sys
import time
from typing import Any, Final

from hesper_lab.bench.ingest_batches import ROWS, Batches, Columns, Json
from hesper_lab.bench.ingest_gateways import Gateway, Tally

_CONNECTED_WITHIN_S: Final = 120.0
_LAST_RECEIPTS_WITHIN_S: Final = 120.0
_TOLD_EVERY_S: Final = 1.0
_AT_ONCE: Final = 16


class Fleet:
    """All gateways on one selector."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.tally = Tally()
        self._begun = self._told_at = 0.0
        self._selector = selectors.DefaultSelector()
        shape = int(task["shape"])
        behind = int(task["meters"]) // len(task["passwords"]) // shape * shape
        self.gateways = []
        for number, name in enumerate(task["passwords"]):
            meters = range(number * behind, (number + 1) * behind)
            gateway = Gateway(name, meters, task, self.tally)
            self._selector.register(gateway.socket, selectors.EVENT_READ, gateway)
            self.gateways.append(gateway)

    def serve(self, timeout_s: float) -> None:
        """Take in what has come and write out what waits."""
        for key, events in self._selector.select(timeout_s):
            gateway: Gateway = key.data
            if events & selectors.EVENT_READ:
                gateway.read()
                while gateway.pending():
                    gateway.read()
            self.write(gateway)

    def write(self, gateway: Gateway) -> None:
        """Write what waits of a gateway; the rest when the socket takes it."""
        wanted = selectors.EVENT_READ
        if gateway.write():
            wanted |= selectors.EVENT_WRITE
        if self._selector.get_key(gateway.socket).events != wanted:
            self._selector.modify(gateway.socket, wanted, gateway)

    def connect(self) -> None:
        """Let every gateway connect, until all hear their receipts."""
        deadline = time.monotonic() + _CONNECTED_WITHIN_S
        while not all(gateway.ready for gateway in self.gateways):
            if time.monotonic() > deadline:
                raise TimeoutError("not every gateway could connect")
            for key, _ in self._selector.select(0.1):
                key.data.connect()

    def run(self, batches: Batches, seconds: float, per_second: float | None) -> float:
        """Publish for so many seconds, at most so many batches each; return how long it took."""
        begun = self._begun = self._told_at = time.monotonic()
        turn = 0
        while (now := time.monotonic()) - begun < seconds:
            allowed = None if per_second is None else (now - begun) * per_second
            turn = self._publish_round(batches, allowed, turn)
            self.serve(self._patience(paced=per_second is not None))
            self._tell(allowed)
        ended = time.monotonic()
        while any(gateway.waiting for gateway in self.gateways):
            if time.monotonic() > ended + _LAST_RECEIPTS_WITHIN_S:
                raise TimeoutError("batches without a receipt are left")
            self.serve(0.1)
            self._tell(None)
        return time.monotonic() - begun

    def _patience(self, *, paced: bool) -> float:
        """Return how long to wait for receipts before there is something to publish again."""
        if paced:
            return 0.0005
        return 0.0 if any(gateway.has_room() for gateway in self.gateways) else 0.1

    def _tell(self, due: float | None) -> None:
        """Say each second how far it is; what is due is what was published, without a pace."""
        now = time.monotonic()
        if now < self._told_at + _TOLD_EVERY_S:
            return
        self._told_at = now
        receipted, published = self.tally.receipted, self.tally.batches
        told = {"seconds": now - self._begun, "receipted": receipted}
        _say({**told, "due": published if due is None else due})

    def _publish_round(self, batches: Batches, allowed: float | None, turn: int) -> int:
        """Let every gateway with room publish a few, beginning where the last round stopped."""
        for step in range(len(self.gateways)):
            gateway = self.gateways[(turn + step) % len(self.gateways)]
            for _ in range(_AT_ONCE if allowed is None else 1):
                if allowed is not None and self.tally.batches >= allowed:
                    return turn + step
                if not gateway.has_room():
                    break
                gateway.publish(batches)
            self.write(gateway)
        return turn


def main() -> None:
    """Carry out the task on stdin."""
    task = json.loads(sys.stdin.readline())
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    form = Json if task["json"] else Columns
    batches = form(int(task["shape"]), int(task["start"]))
    fleet = Fleet(task)
    fleet.connect()
    gc.freeze()
    _say({"ready": len(fleet.gateways)})
    sys.stdin.readline()
    wall_s = fleet.run(batches, float(task["seconds"]), task["per_second"])
    tally = fleet.tally
    _say(
        {
            "seconds": wall_s,
            "due": tally.batches,
            "receipted": tally.receipted,
            "readings": tally.receipted * int(task["shape"]) * ROWS,
            "octets": tally.octets,
            "wall_s": wall_s,
            "cpu_s": time.process_time(),
            "delays_s": [round(delay, 5) for delay in tally.delays_s],
        }
    )
    sys.stdin.readline()


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
