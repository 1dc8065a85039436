"""The change feed of InfluxDB beside several writers: who is slow to say so is told of as well."""

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from exported import ENERGY, PROFILE, T0
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_lines import COMMITS
from hesper_cloud.stores.influx_server import InfluxV1
from hesper_cloud.stores.port import Block, Group, Quantity

pytestmark = pytest.mark.integration
BEHIND_S, DEADLINE_S = 0.3, 60.0


def group(meter: str) -> Group:
    one = np.zeros(1, dtype=np.int64)
    quantity = Quantity(ENERGY, 0, 30)
    block = Block(
        PROFILE, (quantity,), (meter,), one, one + T0, one, one, T0, one.reshape(1, 1), None
    )
    return Group({}, [block], T0 * 1000)


class Feed:
    """A reader that goes on from where it was."""

    def __init__(self, store: InfluxStore) -> None:
        self._store = store
        self._cursor = ""
        self.meters: list[str] = []

    def read_until(self, meter: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while meter not in self.meters:
            assert time.monotonic() < deadline, f"{meter} is not in the feed"
            page = self._store.changes(self._cursor, 10)
            self.meters += [each.meter for each in page.readings]
            self._cursor = page.cursor
            time.sleep(0.02)


@pytest.fixture
def stores(influx_url: str) -> Iterator[list[InfluxStore]]:
    """Two writers of one database."""
    database = f"feed-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        made = [
            InfluxStore(InfluxV1(influx_url, database), sole_writer=False, feed_behind_s=BEHIND_S)
            for _ in range(2)
        ]
        for each in made:
            stack.callback(each.close)
        yield made


def test_a_commit_that_took_long_to_be_written_down_is_not_missed(
    stores: list[InfluxStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = stores
    slow.prepare()
    feed, write, waited = Feed(quick), InfluxV1.write, list[bytes]()

    def late(server: InfluxV1, lines: bytes, precision: Any) -> None:
        if server is slow._ledger and COMMITS.encode() in lines and not waited:
            waited.append(lines)
            quick.write(group("quick"))
            feed.read_until("quick")  # it is past the place where the other would have stood
        write(server, lines, precision)

    monkeypatch.setattr(InfluxV1, "write", late)
    slow.write(group("slow"))
    assert waited
    feed.read_until("slow")
