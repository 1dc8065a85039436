"""Receipted batches that a restored cloud asks for: back into the backlog, octets unchanged."""

from collections.abc import Callable
from datetime import UTC, datetime

from hesper_contracts import batch, events
from hesper_contracts.again import SendAgain
from hesper_contracts.readings import Section
from hesper_contracts.receipts import Receipt, ReceiptList, Verdict
from hesper_contracts.signing import Signer
from hesper_gateway.database import Database
from hesper_gateway.outbox import Outbox
from hesper_gateway.window import Window

MakeSection = Callable[..., Section]
EVENT = events.Event(id="e1", code="gateway.started", occurred_at=datetime(2026, 3, 1, tzinfo=UTC))


def receipts(outbox: Outbox, *sequences: int, verdict: Verdict = "stored") -> ReceiptList:
    payloads = {sequence: outbox.load(sequence) for sequence in sequences}
    return ReceiptList(
        "gw-1",
        outbox.epoch,
        tuple(
            Receipt(sequence, batch.digest(found.payload), verdict)
            for sequence, found in payloads.items()
            if found is not None
        ),
    )


async def filled(outbox: Outbox, section: MakeSection) -> list[int]:
    """Three batches of readings and one of events, all receipted."""
    sequences = [await outbox.append_readings([section(f"M{n}", 900)]) for n in range(3)]
    sequences.append(await outbox.append_events([EVENT]))
    await outbox.release(receipts(outbox, *sequences))
    return sequences


async def test_what_is_still_held_waits_again_and_counts(
    outbox: Outbox, database: Database, gateway_key: Signer, section: MakeSection
) -> None:
    first, second, third, told = await filled(outbox, section)
    before = outbox.load(second)
    assert outbox.backlog_batches == outbox.backlog_octets == 0
    assert await outbox.take_back(SendAgain("gw-1", outbox.epoch, second)) == 3
    assert outbox.readings_after(-1, 10) == [second, third]
    assert list(outbox.urgent()) == [told]
    assert outbox.load(second) == before
    restarted = Outbox(database, gateway_key)
    assert restarted.backlog_batches == outbox.backlog_batches == 3
    assert restarted.backlog_octets == outbox.backlog_octets > 0
    assert await outbox.take_back(SendAgain("gw-1", None, second)) == 0
    assert await outbox.take_back(SendAgain("gw-1", None, first)) == 1
    assert await outbox.release(receipts(outbox, first, second, third, told)) != []
    assert outbox.backlog_batches == 0


async def test_another_epochs_batches_and_rejected_ones_stay_where_they_are(
    outbox: Outbox, section: MakeSection
) -> None:
    sequence = await outbox.append_readings([section("M1", 900)])
    await outbox.release(receipts(outbox, sequence, verdict="rejected"))
    assert await outbox.take_back(SendAgain("gw-1", outbox.epoch, 0)) == 0
    await filled(outbox, section)
    assert await outbox.take_back(SendAgain("gw-1", "ff" * 8, 0)) == 0
    assert outbox.backlog_batches == 0


async def test_the_window_sends_them_once_beside_what_is_under_way(
    outbox: Outbox, section: MakeSection
) -> None:
    first, second, _, told = await filled(outbox, section)
    window = Window(outbox, 8)
    fresh = await outbox.append_readings([section("M9", 900)])
    assert window.due(0.0) == [fresh]
    window.sent(fresh, 0.0)
    await outbox.take_back(SendAgain("gw-1", None, second))
    window.taken_back(second)
    assert window.due(0.1) == [told, second, second + 1]
    assert first not in window.due(0.1)
