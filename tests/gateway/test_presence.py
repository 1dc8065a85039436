"""A gateway's status says that its disk is full for as long as it is."""

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from hesper_contracts.signing import Keyring, Signer
from hesper_gateway.database import Database
from hesper_gateway.line_costs import LineCosts
from hesper_gateway.lines.ledger import Ledger
from hesper_gateway.outbox import Outbox
from hesper_gateway.presence import Self
from hesper_gateway.timeproof import TimeProof


def myself(database: Database, outbox: Outbox) -> Self:
    costs = LineCosts({}, Ledger(database, time.time), outbox, time.time)
    return Self("gw-1", database, outbox, TimeProof("gw-1", Keyring({})), {}, (), costs, Counter())


def test_what_was_dropped_on_all_push_lines_is_told(database: Database, outbox: Outbox) -> None:
    ports = [SimpleNamespace(dropped=Counter(counts)) for counts in ({"a": 2, "b": 1}, {"a": 4})]
    gateway = replace(myself(database, outbox), push_ports=ports)
    assert gateway.status("online").pushes_dropped == 7


def test_a_disk_that_was_full_is_told_until_there_is_room(
    database: Database, outbox: Outbox
) -> None:
    gateway = myself(database, outbox)
    assert not gateway.status("online").storage_full
    assert database.ballast.drop()
    assert gateway.status("online").storage_full
    assert database.ballast.restore()
    assert not gateway.status("online").storage_full


def test_a_gateway_without_a_ballast_does_not_call_its_disk_full(
    tmp_path: Path, gateway_key: Signer
) -> None:
    database = Database(tmp_path / "bare.db", ballast_octets=0)
    assert not myself(database, Outbox(database, gateway_key)).status("online").storage_full
    database.close()
