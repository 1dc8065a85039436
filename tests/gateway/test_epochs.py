"""An outbox that went back in time begins a new epoch: on the right word alone, and once."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hesper_contracts import batch, events, results
from hesper_contracts.frame import Kind
from hesper_contracts.readings import Section
from hesper_contracts.receipts import OTHER_DIGEST, Receipt, ReceiptList
from hesper_contracts.signing import Forged, Keyring, Signer
from hesper_gateway.building import build_core, build_field
from hesper_gateway.config import load
from hesper_gateway.counters import RESERVED_AHEAD, SKIPPED_AFTER_LOSS, Counters
from hesper_gateway.database import Database
from hesper_gateway.outbox import Outbox

MakeSection = Callable[..., Section]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TAKEN = f"batch 0011223344556677/1 {OTHER_DIGEST}"
RESULT = results.CommandResult(
    command_id="c1", gateway="gw-1", meter="M1", state="executing", at=NOON
)

KEYS = {"encryption_key": "00" * 16, "authentication_key": "01" * 16}
GATEWAY_TOML = """\
gateway = "gw-1"
[broker]
host = "127.0.0.1"
[keys]
signing = "gateway.key"
[[lines]]
name = "lan"
kind = "tcp"
host = "127.0.0.1"
port = 4059
[[meters]]
id = "M1"
line = "lan"
template = "hesper-sim"
keys_file = "M1.json"
"""


def payload(outbox: Outbox, sequence: int) -> bytes:
    found = outbox.load(sequence)
    assert found is not None
    return found.payload


def refusal(outbox: Outbox, *sequences: int, reason: str = TAKEN, digest: str = "") -> ReceiptList:
    return ReceiptList(
        "gw-1",
        outbox.epoch,
        tuple(
            Receipt(each, digest or batch.digest(payload(outbox, each)), "rejected", reason)
            for each in sequences
        ),
    )


def told(outbox: Outbox) -> list[str]:
    """Codes of the events that wait."""
    waiting = [outbox.load(sequence) for sequence in outbox.urgent()]
    bodies = [each.payload for each in waiting if each is not None and each.kind is Kind.EVENTS]
    return [event.code for each in bodies for event in events.from_payload(each).events]


async def test_what_waits_goes_again_under_a_new_epoch_with_one_event(
    outbox: Outbox, database: Database, gateway_key: Signer, section: MakeSection
) -> None:
    old = outbox.epoch
    first = await outbox.append_readings([section("M1", 900)])
    second = await outbox.append_readings([section("M2", 900)])
    before = payload(outbox, second)
    assert await outbox.release(refusal(outbox, first, second)) == []
    assert outbox.epoch != old
    assert outbox.readings_after(-1, 10) == [first, second]
    after = payload(outbox, second)
    assert batch.identity(after) == (outbox.epoch, second)
    assert after[batch.BODY :] == before[batch.BODY :]
    assert told(outbox) == ["gateway.outbox_went_back"]
    assert (outbox.backlog_batches, outbox.rejected_batches, outbox.released_count) == (3, 0, 0)
    again = Outbox(database, gateway_key)
    assert (again.epoch, payload(again, second)) == (outbox.epoch, after)
    assert again.backlog_octets == outbox.backlog_octets
    receipts = (Receipt(second, batch.digest(after)),)
    assert await outbox.release(ReceiptList("gw-1", outbox.epoch, receipts)) == [second]


async def test_one_process_begins_one_epoch_and_the_next_takes_back_what_was_set_aside(
    outbox: Outbox, database: Database, gateway_key: Signer, section: MakeSection
) -> None:
    first = await outbox.append_readings([section("M1", 900)])
    await outbox.release(refusal(outbox, first))
    begun = outbox.epoch
    assert await outbox.release(refusal(outbox, first)) == [first]
    assert (outbox.epoch, outbox.rejected_batches) == (begun, 1)
    assert outbox.readings_after(-1, 10) == []
    again = Outbox(database, gateway_key)
    second = await again.append_readings([section("M2", 900)])
    await again.release(refusal(again, second))
    assert again.epoch != begun
    assert again.readings_after(-1, 10) == [first, second]
    recounted = Outbox(database, gateway_key)
    assert again.backlog_batches == recounted.backlog_batches
    assert again.backlog_octets == recounted.backlog_octets


@pytest.mark.parametrize(
    ("reason", "digest"), [("the store refuses it", ""), (TAKEN, "0" * 64), (f"{TAKEN}: no", "")]
)
async def test_no_other_word_begins_one(
    outbox: Outbox, section: MakeSection, reason: str, digest: str
) -> None:
    old = outbox.epoch
    sequence = await outbox.append_readings([section("M1", 900)])
    await outbox.release(refusal(outbox, sequence, reason=reason, digest=digest))
    assert (outbox.epoch, told(outbox)) == (old, [])


async def test_a_batch_that_has_its_receipt_begins_none(
    outbox: Outbox, section: MakeSection
) -> None:
    old = outbox.epoch
    sequence = await outbox.append_readings([section("M1", 900)])
    receipts = (Receipt(sequence, batch.digest(payload(outbox, sequence))),)
    await outbox.release(ReceiptList("gw-1", old, receipts))
    await outbox.release(refusal(outbox, sequence))
    assert (outbox.epoch, told(outbox)) == (old, [])


async def test_a_result_is_signed_anew_for_its_new_identity(
    outbox: Outbox, gateway_key: Signer
) -> None:
    keys = Keyring.of(gateway_key.public_key)
    sequence = await outbox.append_result(RESULT)
    before = payload(outbox, sequence)
    await outbox.release(refusal(outbox, sequence))
    after = payload(outbox, sequence)
    assert batch.identity(after) == (outbox.epoch, sequence)
    assert results.from_payload(after, keys, "gw-1") == RESULT
    with pytest.raises(Forged):
        results.from_payload(after[: batch.BODY] + before[batch.BODY :], keys, "gw-1")


async def test_a_result_that_the_card_has_damaged_is_left_to_the_cloud_to_refuse(
    outbox: Outbox, database: Database
) -> None:
    sequence = await outbox.append_result(RESULT)
    await database.write(
        lambda c: c.execute("UPDATE batches SET payload = substr(payload, 1, 30)").rowcount
    )
    await outbox.release(refusal(outbox, sequence))
    assert batch.identity(payload(outbox, sequence)) == (outbox.epoch, sequence)


async def test_counters_that_were_used_since_the_copy_was_made_are_not_used_again(
    outbox: Outbox, database: Database, section: MakeSection
) -> None:
    counters = Counters(database)
    outbox.went_back = counters.draw_anew
    counter = counters.reserve("M1", "guek")
    used = [counter() for _ in range(RESERVED_AHEAD)][-1]  # more are being reserved already
    sequence = await outbox.append_readings([section("M1", 900)])
    await outbox.release(refusal(outbox, sequence, reason="the store refuses it"))
    assert counter() == used + 1
    sequence = await outbox.append_readings([section("M1", 900)])
    await outbox.release(refusal(outbox, sequence))
    after = counter()
    assert after > used + SKIPPED_AFTER_LOSS
    assert counter() == after + 1
    assert Counters(database).reserve("M2", "guek")() > after


async def test_the_sessions_of_a_gateway_draw_their_counters_anew(
    tmp_path: Path, database: Database, gateway_key: Signer, section: MakeSection
) -> None:
    (tmp_path / "gateway.toml").write_text(GATEWAY_TOML, encoding="utf-8")
    gateway_key.save(tmp_path / "gateway.key")
    (tmp_path / "M1.json").touch(mode=0o600)
    (tmp_path / "M1.json").write_text(json.dumps(KEYS))
    config = load(tmp_path / "gateway.toml")
    core = build_core(config, database)
    field = build_field(config, core)
    counter = field.sessions["M1"]._common.counters.reserve("M1", "guek")
    assert counter() < SKIPPED_AFTER_LOSS
    sequence = await core.outbox.append_readings([section("M1", 900)])
    await core.outbox.release(refusal(core.outbox, sequence))
    assert counter() > SKIPPED_AFTER_LOSS
    await field.aclose()
