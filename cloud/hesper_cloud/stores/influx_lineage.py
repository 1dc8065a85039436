"""The epoch of a store in InfluxDB: one point of its ledger.

A database that is filled anew, from a backup or by ``store copy``, has another. Of two that begin
one at once both take the older.
"""

import time

from hesper_cloud.stores.influx_lines import EPOCHS
from hesper_cloud.stores.influx_ql import select
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.lineage import Epoch, Lineage, born
from hesper_cloud.stores.port import StoreUnavailable


def learn(ledger: InfluxServer) -> Lineage:
    """Returns the epoch; a store that has none is given one.

    Raises:
        StoreUnavailable: the server does not give back what it acknowledged.
    """
    name = _oldest(ledger)
    if name is None:
        line = f'{EPOCHS},epoch={born().name} since="birth" {time.time_ns()}'
        ledger.write(line.encode(), "ns")
        name = _oldest(ledger)
    if name is None:
        raise StoreUnavailable("the epoch that was just written is not there")
    return Lineage([Epoch(name)], lambda commit: f"{commit + 1}.0")


def _oldest(ledger: InfluxServer) -> str | None:
    query = select("since", EPOCHS, "", "epoch ORDER BY time LIMIT 1")
    found = {table.rows[0][0]: table.tags["epoch"] for table in ledger.query(query, "ns")}
    return found[min(found)] if found else None
