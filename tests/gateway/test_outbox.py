"""The outbox: fixed octets, released by the right receipt alone, bounded by its quota."""

import asyncio
import random
import sqlite3
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hesper_contracts import batch, events, results
from hesper_contracts.frame import Kind
from hesper_contracts.readings import LOAD_PROFILE, Section
from hesper_contracts.receipts import Receipt, ReceiptList
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway.database import Database, JobRefused
from hesper_gateway.outbox import Outbox, OutboxFull
from hesper_gateway.window import Window

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MakeSection = Callable[..., Section]
EVENT = events.Event(id="e1", code="gateway.started", occurred_at=NOON)
RESULT = results.CommandResult(
    command_id="c1", gateway="gw-1", meter="M1", state="executing", at=NOON
)


def payload(outbox: Outbox, sequence: int) -> bytes:
    loaded = outbox.load(sequence)
    assert loaded is not None
    return loaded.payload


def receipts(outbox: Outbox, *sequences: int, **change: str) -> ReceiptList:
    return ReceiptList(
        "gw-1",
        change.get("epoch", outbox.epoch),
        tuple(
            Receipt(
                sequence,
                change.get("digest", batch.digest(payload(outbox, sequence))),
                change.get("verdict", "stored"),  # type: ignore[arg-type]
            )
            for sequence in sequences
        ),
    )


async def test_octets_never_change(
    outbox: Outbox, database: Database, gateway_key: Signer, section: MakeSection
) -> None:
    first = await outbox.append_readings([section("M1", 900)])
    before = payload(outbox, first)
    await outbox.append_readings([section("M2", 900)])
    again = Outbox(database, gateway_key)
    assert again.epoch == outbox.epoch
    assert payload(again, first) == before
    opened = batch.open_(before)
    assert (opened.epoch, opened.sequence) == (outbox.epoch, first)


def test_every_database_has_an_epoch_of_its_own(tmp_path: Path, gateway_key: Signer) -> None:
    epochs = set()
    for name in ("a.db", "b.db"):
        database = Database(tmp_path / name, ballast_octets=0)
        epochs.add(Outbox(database, gateway_key).epoch)
        database.close()
    assert len(epochs) == 2


async def test_readings_and_progress_are_stored_together(
    outbox: Outbox, database: Database, gateway_key: Signer, section: MakeSection
) -> None:
    assert outbox.progress.last_capture("M1", LOAD_PROFILE) is None
    await outbox.append_readings([section("M1", 900)], {("M1", LOAD_PROFILE): 5400})
    for either in (outbox, Outbox(database, gateway_key)):
        assert either.progress.last_capture("M1", LOAD_PROFILE) == 5400


async def test_events_carry_their_mark_and_a_mark_needs_no_event(outbox: Outbox) -> None:
    event_log = bytes((0, 0, 99, 98, 0, 255))
    await outbox.append_events([EVENT], {("M1", event_log): 10})
    assert outbox.progress.last_capture("M1", event_log) == 10
    assert await outbox.append_events([], {("M1", event_log): 20}) == 0
    assert outbox.progress.last_capture("M1", event_log) == 20
    assert outbox.backlog_batches == 1


async def test_the_right_receipt_releases(outbox: Outbox, section: MakeSection) -> None:
    kept = await outbox.append_readings([section("M1", 900)])
    gone = await outbox.append_readings([section("M2", 900)])
    assert await outbox.release(receipts(outbox, gone)) == [gone]
    assert await outbox.release(receipts(outbox, gone)) == []
    assert outbox.readings_after(-1, 10) == [kept]
    assert (outbox.backlog_batches, outbox.load(gone) is None) == (1, False)


@pytest.mark.parametrize("change", [{"digest": "0" * 64}, {"epoch": "0" * 16}])
async def test_a_wrong_receipt_releases_nothing(
    outbox: Outbox, section: MakeSection, change: dict[str, str]
) -> None:
    sequence = await outbox.append_readings([section("M1", 900)])
    assert await outbox.release(receipts(outbox, sequence, **change)) == []
    assert outbox.readings_after(-1, 10) == [sequence]


async def test_a_receipt_for_an_unknown_sequence_is_ignored(outbox: Outbox) -> None:
    unknown = ReceiptList("gw-1", outbox.epoch, (Receipt(77, "0" * 64),))
    assert await outbox.release(unknown) == []


async def test_a_rejected_batch_is_set_aside(outbox: Outbox, section: MakeSection) -> None:
    sequence = await outbox.append_readings([section("M1", 900)])
    assert await outbox.release(receipts(outbox, sequence, verdict="rejected")) == [sequence]
    assert outbox.readings_after(-1, 10) == []
    assert outbox.load(sequence) is not None


async def test_a_batch_that_no_consumer_would_take_is_our_bug(
    outbox: Outbox, section: MakeSection
) -> None:
    noise = random.Random(1)
    rows = section("M1", 900, 600_000)
    rows.rows[0].values[0][:] = [noise.randrange(2**62) for _ in range(600_000)]
    with pytest.raises(ValueError, match="octets of readings"):
        await outbox.append_readings([rows])


async def test_results_come_before_events_before_readings(
    outbox: Outbox, database: Database, gateway_key: Signer, section: MakeSection
) -> None:
    reading = await outbox.append_readings([section("M1", 900)])
    event = await outbox.append_events([EVENT])
    result = await outbox.append_result(RESULT)
    for either in (outbox, Outbox(database, gateway_key)):
        assert list(either.urgent()) == [result, event]
        assert either.readings_after(-1, 10) == [reading]
        assert either.backlog_batches == 3
    loaded = outbox.load(result)
    assert loaded is not None
    assert loaded.kind is Kind.RESULTS
    keys = Keyring.of(gateway_key.public_key)
    assert results.from_payload(loaded.payload, keys, "gw-1") == RESULT


async def test_a_result_and_its_journal_entry_stand_or_fall_together(outbox: Outbox) -> None:
    def refuse(_: object) -> None:
        raise JobRefused("journal says no")

    with pytest.raises(JobRefused):
        await outbox.append_result(RESULT, also=refuse)
    assert list(outbox.urgent()) == []


async def test_a_cancelled_append_is_still_counted(outbox: Outbox, section: MakeSection) -> None:
    landed = asyncio.Event()
    outbox.appended = landed.set
    appending = asyncio.create_task(outbox.append_readings([section("M1", 900)]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    appending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await appending
    await asyncio.wait_for(landed.wait(), 5)
    assert outbox.backlog_batches == 1


async def test_quota_refuses_readings_but_never_results(
    database: Database, gateway_key: Signer, section: MakeSection
) -> None:
    outbox = Outbox(database, gateway_key, quota_octets=2000)
    first = await outbox.append_readings([section("M1", 900)])
    while not outbox.alarming:
        await outbox.append_readings([section("M1", 900)])
    with pytest.raises(OutboxFull):
        await outbox.append_readings(
            [section(f"M{number * 7919}", 900, 99) for number in range(200)]
        )
    await outbox.append_result(RESULT)
    await outbox.append_events([EVENT])
    everything = [*outbox.urgent(), *outbox.readings_after(-1, 1000)]
    await outbox.release(receipts(outbox, *everything))
    assert outbox.percent == 0
    assert await outbox.append_readings([section("M1", 900)]) > first


async def test_whoever_fetches_readings_is_refused_before_the_quota_is_used_up(
    database: Database, gateway_key: Signer, section: MakeSection
) -> None:
    outbox = Outbox(database, gateway_key, quota_octets=8000)
    while outbox.percent < 95:
        await outbox.require_room()
        await outbox.append_readings([section("M1", 900)])
    with pytest.raises(OutboxFull):
        await outbox.require_room()
    await outbox.append_readings([section("M1", 900)])  # what was under way is taken
    await outbox.release(receipts(outbox, *outbox.readings_after(-1, 10)))
    await outbox.require_room()


async def test_a_quota_below_one_batch_has_room_while_it_is_empty(
    database: Database, gateway_key: Signer
) -> None:
    await Outbox(database, gateway_key, quota_octets=2000).require_room()


async def test_released_batches_stay_until_the_quota_needs_their_room(
    database: Database, gateway_key: Signer, section: MakeSection
) -> None:
    outbox = Outbox(database, gateway_key, quota_octets=2000)
    first = await outbox.append_readings([section("M1", 900)])
    octets = len(payload(outbox, first))
    await outbox.release(receipts(outbox, first))
    fitting = 2000 // octets
    later = [await outbox.append_readings([section("M1", 900)]) for _ in range(fitting - 1)]
    assert outbox.load(first) is not None
    await outbox.release(receipts(outbox, *later))
    newest = [await outbox.append_readings([section("M1", 900)]) for _ in range(3)]
    assert outbox.load(first) is None
    assert all(outbox.load(sequence) for sequence in newest)
    assert newest == sorted({*newest} - {*later})


async def test_age_of_the_backlog(
    database: Database, gateway_key: Signer, section: MakeSection
) -> None:
    outbox = Outbox(database, gateway_key, clock=lambda: NOON)
    assert outbox.oldest_unreceipted_at() is None
    await outbox.append_readings([section("M1", 900)])
    assert outbox.oldest_unreceipted_at() == NOON


def test_a_year_of_events_is_not_gone_through_for_the_next_few(
    database: Database, gateway_key: Signer
) -> None:
    """A broker that takes everything and a cloud that receipts nothing: each append would cost."""

    def fill(connection: sqlite3.Connection) -> None:
        rows = ((sequence, Kind.EVENTS, 0, b"") for sequence in range(1, 20_001))
        connection.executemany("INSERT INTO batches VALUES (?, ?, ?, ?)", rows)

    database.submit(fill).result()
    outbox = Outbox(database, gateway_key)
    window = Window(outbox, 8)
    tracemalloc.start()
    assert window.due(0.0) == list(range(1, 9))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 40_000, "all of them were copied, or sorted"
    assert outbox.oldest_unreceipted_at() == datetime.fromtimestamp(0, UTC)


async def test_more_events_than_one_batch_holds_become_several(outbox: Outbox) -> None:
    event_log = bytes((0, 0, 99, 98, 0, 255))
    many = [msgspec.structs.replace(EVENT, id=f"e{n}") for n in range(2500)]
    last = await outbox.append_events(many, {("M1", event_log): 7})
    assert list(outbox.urgent()) == [last - 2, last - 1, last]
    told = [
        each.id
        for sequence in outbox.urgent()
        for each in events.from_payload(payload(outbox, sequence)).events
    ]
    assert told == [each.id for each in many]
    assert outbox.progress.last_capture("M1", event_log) == 7
