"""Commands: what is not signed, fresh, timely, ours and below the ceilings moves no relay."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hesper_contracts import batch, commands, requests, results
from hesper_contracts.commands import Command
from hesper_contracts.frame import Kind
from hesper_contracts.receipts import OTHER_DIGEST, Receipt, ReceiptList
from hesper_contracts.requests import TimeAnswer
from hesper_contracts.results import CommandResult
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway import journal
from hesper_gateway.commands import Executor, Mandate, Records
from hesper_gateway.config import CeilingsConfig
from hesper_gateway.database import Database
from hesper_gateway.errors import MeterFailed, MeterSilent, RelayUncertain
from hesper_gateway.execution import Patience, Report
from hesper_gateway.outbox import Outbox
from hesper_gateway.sessions.relay import Permit, RelayAction, RelayMove, RelayState
from hesper_gateway.timeproof import TimeProof

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
AUTHORITY = Signer.generate()
GATEWAY = "gw-1"
NAMES = {"M1": "HSP0000000000001", "M2": "HSP0000000000002"}
COMMAND = Command(
    id="c-1",
    kind="relay.disconnect",
    gateway=GATEWAY,
    meter="M1",
    logical_device_name=NAMES["M1"],
    counter=1,
    issued_at=NOON,
    not_before=NOON,
    not_after=NOON + timedelta(minutes=5),
    requester="olga",
    approver="anna",
    reason="test",
)


@dataclass
class Wall:
    """Relays in memory; every movement is kept."""

    output: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(NAMES, True))
    moves: list[tuple[str, RelayAction]] = field(default_factory=list)
    stuck: bool = False
    answer_lost: bool = False
    silent: int = 0
    before_permit: asyncio.Event | None = None
    pinged: list[str] = field(default_factory=list)

    def state(self, meter: str) -> RelayState:
        return RelayState(self.output[meter], int(self.output[meter]), NOON)

    def objection(self, command: Command) -> str | None:
        return None

    async def read(self, meter: str) -> RelayState:
        if self.silent:
            self.silent -= 1
            raise MeterSilent("nothing came")
        return self.state(meter)

    async def run(self, command: Command, permit: Permit) -> Report:
        if self.before_permit:
            await self.before_permit.wait()
        permit()
        self.pinged.append(command.id)
        return Report(True)

    async def move(
        self, meter: str, action: RelayAction, expected_ldn: str, permit: Permit
    ) -> RelayMove:
        assert expected_ldn == NAMES[meter]
        if self.before_permit:
            await self.before_permit.wait()
        permit()
        before = await self.read(meter)
        self.moves.append((meter, action))
        if not self.stuck:
            self.output[meter] = action is RelayAction.RECONNECT
        if self.answer_lost:
            raise RelayUncertain("no answer")
        return RelayMove(action, before, self.state(meter), {"1.0.1.8.0.255": (42, 0, 30)})


class Desk:
    """An executor on a real database, with a clock that the test turns."""

    def __init__(self, database: Database, outbox: Outbox, gateway_key: Signer) -> None:
        self.database = database
        self.outbox = outbox
        self.key = gateway_key
        self.seconds = 1000.0
        self.wall = Wall()
        self.alarms: list[str] = []
        self.time_proof = self.unproven()
        self.mandate = Mandate(
            GATEWAY,
            Keyring.of(AUTHORITY.public_key),
            CeilingsConfig(disconnects_per_hour=3, disconnects_per_day=5, seconds_between=0.05),
            NAMES,
            proof_wait_s=0.02,
            patience=Patience(read_back_s=0.05, moves_within_s=0.05),
        )
        self.executor: Executor | None = None
        self._seen = 0

    def unproven(self) -> TimeProof:
        """Time as it is after a start."""
        return TimeProof(
            GATEWAY,
            Keyring.of(AUTHORITY.public_key),
            lambda: self.seconds,
            lambda: NOON + timedelta(seconds=self.seconds - 1000),
        )

    def prove(self, at: datetime = NOON) -> None:
        nonce = requests.request_from_payload(self.time_proof.ask(), GATEWAY).nonce
        answer = TimeAnswer(gateway=GATEWAY, nonce=nonce, time=at)
        assert self.time_proof.accept(requests.answer_to_payload(answer, AUTHORITY))

    @asynccontextmanager
    async def working(self) -> AsyncIterator["Desk"]:
        self.executor = Executor(
            self.mandate,
            Records(self.database, self.outbox),
            self.time_proof,
            self.wall,
            lambda code, _: self.alarms.append(code),
        )
        running = asyncio.create_task(self.executor.run())
        try:
            yield self
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    def give(self, command: Command, key: Signer = AUTHORITY) -> None:
        self.give_octets(commands.to_payload(command, key))

    def give_octets(self, payload: bytes) -> None:
        assert self.executor is not None
        self.executor.receive(payload)

    async def result(self) -> CommandResult:
        """The next result that left, whatever its state."""
        while len(self._results()) <= self._seen:
            await asyncio.wait_for(self._appended(), 5)
        found = self._results()[self._seen]
        self._seen += 1
        return found

    async def last(self) -> CommandResult:
        """The next result that is not *executing*."""
        while (result := await self.result()).state == "executing":
            continue
        return result

    async def distrusted(self, count: int = 1) -> None:
        async with asyncio.timeout(60):
            while len(self.alarms) < count:  # noqa: ASYNC110 - the alarm is a plain call
                await asyncio.sleep(0.01)

    async def _appended(self) -> None:
        landed = asyncio.Event()
        self.outbox.appended = landed.set
        if len(self._results()) <= self._seen:
            await landed.wait()

    def _results(self) -> list[CommandResult]:
        batches = [self.outbox.load(sequence) for sequence in self.outbox.urgent()]
        keys = Keyring.of(self.key.public_key)
        return [
            results.from_payload(batch.payload, keys, GATEWAY)
            for batch in batches
            if batch is not None and batch.kind is Kind.RESULTS
        ]


@pytest.fixture
def desk(database: Database, outbox: Outbox, gateway_key: Signer) -> Desk:
    return Desk(database, outbox, gateway_key)


def changed(**fields: Any) -> Command:
    return msgspec.structs.replace(COMMAND, **fields)


async def test_a_signed_command_is_executed_once_and_read_back(desk: Desk) -> None:
    async with desk.working():
        desk.prove()
        desk.give(COMMAND)
        assert (await desk.result()).state == "executing"
        result = await desk.result()
    assert result.state == "confirmed"
    assert result.relay_before is not None
    assert result.relay_after is not None
    assert (result.relay_before.output, result.relay_after.output) == (True, False)
    assert result.registers == {"1.0.1.8.0.255": (42, 0, 30)}
    assert desk.wall.moves == [("M1", RelayAction.DISCONNECT)]


async def test_reading_a_relay_moves_nothing(desk: Desk) -> None:
    async with desk.working():
        desk.prove()
        desk.give(changed(kind="relay.read"))
        result = await desk.last()
    assert (result.state, desk.wall.moves) == ("confirmed", [])
    assert result.relay_after is not None


def tampered(position: int) -> bytes:
    payload = bytearray(commands.to_payload(COMMAND, AUTHORITY))
    payload[position] ^= 1
    return bytes(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"HC1s",
        b"HC9s" + commands.to_payload(COMMAND, AUTHORITY)[4:],
        commands.to_payload(COMMAND, AUTHORITY)[:-1],
        commands.to_payload(COMMAND, Signer.generate()),
        commands.to_payload(changed(gateway="gw-2"), AUTHORITY),
        requests.answer_to_payload(
            TimeAnswer(gateway=GATEWAY, nonce="00" * 16, time=NOON), AUTHORITY
        ),
        *(tampered(position) for position in (0, 1, 3, 5, 25, 60, 120, 200, -1)),
    ],
)
async def test_what_is_not_trusted_changes_nothing(desk: Desk, payload: bytes) -> None:
    async with desk.working():
        desk.prove()
        desk.give_octets(payload)
        await desk.distrusted()
    assert desk.wall.moves == []
    assert desk.outbox.backlog_batches == 0
    assert journal.highest_counter(desk.database) == 0


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"not_after": NOON - timedelta(seconds=1)}, "expired"),
        ({"not_before": NOON + timedelta(seconds=30)}, "rejected"),
        ({"meter": "M9"}, "rejected"),
        ({"logical_device_name": NAMES["M2"]}, "rejected"),
        ({"logical_device_name": None}, "rejected"),
    ],
)
async def test_trusted_but_not_fitting_is_answered_and_journalled(
    desk: Desk, fields: dict[str, Any], state: str
) -> None:
    command = changed(**fields)
    async with desk.working():
        desk.prove()
        desk.give(command)
        assert (await desk.result()).state == state
        desk.give(changed(id="another", counter=1))
        await desk.distrusted()
    assert desk.wall.moves == []
    found = journal.find(desk.database, command.id)
    assert found is not None
    assert found.state == state


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_clock_that_the_authority_has_put_right_since_refuses_no_command(
    desk: Desk, minutes: int
) -> None:
    authority_says = NOON + timedelta(minutes=minutes)
    connected, asked = asyncio.Event(), asyncio.Event()

    async def publish(_: Kind, request: bytes) -> bool:
        nonce = requests.request_from_payload(request, GATEWAY).nonce
        answer = TimeAnswer(gateway=GATEWAY, nonce=nonce, time=authority_says)
        asked.set()
        return desk.time_proof.accept(requests.answer_to_payload(answer, AUTHORITY))

    async with desk.working(), asyncio.timeout(60):
        desk.prove(NOON - timedelta(hours=1))
        asking = asyncio.create_task(desk.time_proof.run(publish, connected))
        connected.set()
        await asked.wait()
        desk.seconds += 60
        authority_says = NOON + timedelta(seconds=60)
        desk.give(COMMAND)
        assert (await desk.last()).state == "confirmed"
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_without_proven_time_nothing_moves(desk: Desk) -> None:
    await desk.database.write(lambda c: journal.begin(c, NOON - timedelta(days=1)))
    async with desk.working():
        desk.give(COMMAND)
        result = await desk.result()
        assert (result.state, "proven time" in result.detail) == ("rejected", True)
        desk.prove()
        desk.give(COMMAND)
        assert (await desk.result()).state == "rejected"
    assert desk.wall.moves == []


async def test_a_repeated_envelope_gets_the_journalled_result(desk: Desk) -> None:
    async with desk.working():
        desk.prove()
        desk.give(COMMAND)
        first = await desk.last()
        desk.seconds += 3600
        desk.give(COMMAND)
        assert await desk.result() == first
        for _ in range(20):
            desk.give(COMMAND)
        desk.give(
            changed(id="c-2", kind="relay.read", counter=2, not_after=NOON.replace(year=2030))
        )
        assert (await desk.last()).command_id == "c-2"
    assert len(desk.wall.moves) == 1


async def test_a_result_that_a_later_release_journalled_ends_nothing(desk: Desk) -> None:
    """The release before is back after a trial, and the authority asks again."""
    async with desk.working():
        desk.prove()
        desk.give(COMMAND)
        await desk.last()
        later = "UPDATE commands SET result = json_set(CAST(result AS TEXT), '$.later', 1)"
        await desk.database.write(lambda c: c.execute(later).rowcount)
        desk.give(COMMAND)
        await desk.distrusted()
        desk.give(changed(id="c-2", kind="relay.read", counter=2))
        assert (await desk.last()).command_id == "c-2"
    assert desk.alarms == ["gateway.command_refused"]
    assert len(desk.wall.moves) == 1


async def test_a_used_counter_or_id_never_acts_again(desk: Desk) -> None:
    async with desk.working():
        desk.prove()
        desk.give(COMMAND)
        await desk.last()
        desk.give(changed(id="c-2"))
        await desk.distrusted(1)
        desk.give(changed(counter=7))
        await desk.distrusted(2)
    assert desk.alarms == ["gateway.command_replayed"] * 2
    assert len(desk.wall.moves) == 1


async def test_reordered_counters_pass(desk: Desk) -> None:
    async with desk.working():
        desk.prove()
        for counter in (5, 2, 9, 1):
            desk.give(changed(id=f"c-{counter}", counter=counter, kind="relay.reconnect"))
            assert (await desk.last()).state == "confirmed"
    assert journal.highest_counter(desk.database) == 9


async def disconnect(desk: Desk, number: int) -> CommandResult:
    desk.give(changed(id=f"c-{number}", counter=number, not_after=NOON + timedelta(days=9)))
    return await desk.last()


async def test_ceilings_hold_whoever_signs(desk: Desk) -> None:
    async with desk.working():
        desk.prove()
        assert (await disconnect(desk, 1)).state == "confirmed"
        for number in (3, 4):
            desk.seconds += 11
            assert (await disconnect(desk, number)).state == "confirmed"
        desk.seconds += 11
        result = await disconnect(desk, 5)
        assert (result.state, "hour" in result.detail) == ("rejected", True)
        desk.give(changed(id="r", counter=99, kind="relay.reconnect"))
        assert (await desk.last()).state == "confirmed"
        for number in (6, 7):
            desk.seconds += 3600
            assert (await disconnect(desk, number)).state == "confirmed"
        desk.seconds += 3600
        assert "day" in (await disconnect(desk, 8)).detail
    cuts = [action for _, action in desk.wall.moves if action is RelayAction.DISCONNECT]
    assert len(cuts) == 5


async def test_ceilings_survive_a_restart(desk: Desk, gateway_key: Signer) -> None:
    async with desk.working():
        desk.prove()
        await disconnect(desk, 1)
    again = Desk(desk.database, Outbox(desk.database, gateway_key), gateway_key)
    again._seen = 2
    again.mandate = replace(again.mandate, ceilings=CeilingsConfig(disconnects_per_hour=1))
    async with again.working():
        again.prove()
        assert (await disconnect(again, 2)).state == "rejected"


async def test_a_clock_that_wakes_up_in_the_past_holds_up_no_disconnect(desk: Desk) -> None:
    async with desk.working():
        desk.prove()
        assert (await disconnect(desk, 1)).state == "confirmed"
        desk.time_proof = woken = TimeProof(
            GATEWAY,
            Keyring.of(AUTHORITY.public_key),
            lambda: desk.seconds,
            lambda: NOON - timedelta(minutes=30) + timedelta(seconds=desk.seconds - 1000),
        )
    async with desk.working():
        desk.prove()
        for number in (2, 3):
            desk.seconds += 11
            assert (await disconnect(desk, number)).state == "confirmed"
        desk.seconds += 11
        assert "hour" in (await disconnect(desk, 4)).detail
    assert woken.earliest() < NOON


async def test_a_new_journal_refuses_what_another_may_have_done(desk: Desk) -> None:
    async with desk.working():
        desk.prove(NOON + timedelta(seconds=1))
        result = await disconnect(desk, 1)
    assert (result.state, "journal" in result.detail) == ("unknown", True)
    assert desk.wall.moves == []


@pytest.mark.parametrize(
    ("kind", "late_s", "state"),
    [
        ("relay.disconnect", 9000, "unknown"),
        ("relay.read", 1, "rejected"),
        ("relay.read", 9000, "expired"),
    ],
)
async def test_what_a_lost_journal_may_have_done_is_unknown(
    desk: Desk, kind: str, late_s: int, state: str
) -> None:
    async with desk.working():
        desk.prove(NOON + timedelta(seconds=late_s))
        desk.give(changed(kind=kind))
        result = await desk.last()
    assert result.state == state
    assert ("not known" in result.detail) == (state == "unknown")
    assert desk.wall.moves == []


async def test_without_proven_time_a_journal_that_has_not_begun_does_not_know(desk: Desk) -> None:
    async with desk.working():
        desk.give(COMMAND)
        result = await desk.last()
    assert (result.state, "proven time" in result.detail) == ("unknown", True)
    assert desk.wall.moves == []


async def test_a_journal_that_went_back_while_commands_come_counts_as_new(desk: Desk) -> None:
    began = NOON - timedelta(days=400)
    await desk.database.write(lambda c: journal.begin(c, began))
    async with desk.working():
        desk.prove(NOON + timedelta(seconds=1))
        assert (await disconnect(desk, 1)).state == "confirmed"
        sequence = next(desk.outbox.urgent())
        sent = desk.outbox.load(sequence)
        assert sent is not None
        refusal = Receipt(sequence, batch.digest(sent.payload), "rejected", OTHER_DIGEST)
        await desk.outbox.release(ReceiptList(GATEWAY, desk.outbox.epoch, (refusal,)))
        desk.seconds += 11
        result = await disconnect(desk, 2)
    assert (result.state, "journal" in result.detail) == ("unknown", True)
    assert len(desk.wall.moves) == 1


async def test_a_stolen_authority_key_cannot_make_the_hour_pass(desk: Desk) -> None:
    async with desk.working():
        desk.prove()
        for number in (1, 2, 3, 4):
            desk.prove(NOON + timedelta(hours=30 * number))
            desk.seconds += 1
            result = await disconnect(desk, number)
    assert (result.state, "hour" in result.detail) == ("rejected", True)
    assert len(desk.wall.moves) == 3


@pytest.mark.parametrize(("later_s", "state", "cuts"), [(1, "confirmed", 2), (400, "expired", 1)])
async def test_a_disconnect_that_comes_too_soon_waits_as_long_as_it_is_valid(
    desk: Desk, later_s: int, state: str, cuts: int
) -> None:
    async with desk.working():
        desk.prove()
        desk.give(COMMAND)
        await desk.last()
        desk.give(changed(id="c-2", meter="M2", logical_device_name=NAMES["M2"], counter=2))
        desk.give(changed(id="c-3", kind="relay.read", counter=3))
        assert (await desk.last()).command_id == "c-3"
        assert len(desk.wall.moves) == 1
        desk.seconds += later_s
        assert (await desk.last()).state == state
    assert len(desk.wall.moves) == cuts
    assert desk.alarms == []


async def test_a_stuck_relay_is_reported_as_failed(desk: Desk) -> None:
    desk.wall.stuck = True
    async with desk.working():
        desk.prove()
        desk.give(COMMAND)
        result = await desk.last()
    assert (result.state, result.detail) == ("failed", "the relay did not move")


@pytest.mark.parametrize(
    ("stuck", "silent", "state"),
    [(False, 0, "confirmed"), (True, 0, "failed"), (False, 10**6, "unknown")],
)
async def test_a_lost_answer_is_settled_by_reading(
    desk: Desk, stuck: bool, silent: int, state: str
) -> None:
    class Lost(Wall):
        async def move(self, *what: Any) -> RelayMove:
            try:
                return await super().move(*what)
            finally:
                self.silent = silent

    desk.wall = Lost(stuck=stuck, answer_lost=True)
    async with desk.working():
        desk.prove()
        desk.give(COMMAND)
        assert (await desk.last()).state == state
    assert len(desk.wall.moves) == 1


async def test_a_relay_that_moves_late_is_not_called_failed(desk: Desk) -> None:
    class Slow(Wall):
        async def read(self, meter: str) -> RelayState:
            if self.moves and self.silent == 0:
                self.output[meter] = False
            self.silent = max(0, self.silent - 1)
            return self.state(meter)

    desk.wall = Slow(stuck=True, answer_lost=True, silent=4)
    desk.mandate = replace(desk.mandate, patience=Patience(read_back_s=5, moves_within_s=5))
    async with desk.working():
        desk.prove()
        desk.give(COMMAND)
        result = await desk.last()
    assert (result.state, len(desk.wall.moves)) == ("confirmed", 1)


async def test_before_anything_was_written_it_failed(desk: Desk) -> None:
    desk.wall.silent = 1
    async with desk.working():
        desk.prove()
        desk.give(COMMAND)
        result = await desk.last()
    assert (result.state, desk.wall.moves) == ("failed", [])
    assert result.detail.startswith("nothing was written, stopped at timeout")


async def test_it_expires_while_the_line_is_busy(desk: Desk) -> None:
    desk.wall.before_permit = asyncio.Event()
    async with desk.working():
        desk.prove()
        desk.give(COMMAND)
        assert (await desk.result()).state == "executing"
        desk.seconds += 3600
        desk.wall.before_permit.set()
        assert (await desk.result()).state == "expired"
    assert desk.wall.moves == []


async def break_off_a_ping(desk: Desk) -> None:
    """Stops while a ping is carried out; the next start has no proof of time yet."""
    desk.wall.before_permit = asyncio.Event()
    async with desk.working():
        desk.prove()
        desk.give(changed(kind="ping"))
        assert (await desk.result()).state == "executing"
    desk.wall.before_permit = None
    desk.time_proof = desk.unproven()


async def test_a_reading_that_a_restart_found_waits_for_proven_time_and_nobody_for_it(
    desk: Desk,
) -> None:
    await break_off_a_ping(desk)
    async with desk.working():
        desk.give(changed(id="c-2", kind="ping", counter=2))
        newer = await desk.result()
        assert (newer.command_id, newer.state) == ("c-2", "rejected")
        assert desk.wall.pinged == []
        desk.prove()
        older = await desk.result()
    assert (older.command_id, older.state) == ("c-1", "confirmed")
    assert desk.wall.pinged == ["c-1"]


async def test_a_reading_whose_time_was_over_when_it_was_proven_expires(desk: Desk) -> None:
    await break_off_a_ping(desk)
    async with desk.working():
        desk.prove(NOON + timedelta(minutes=6))
        assert (await desk.result()).state == "expired"
    assert desk.wall.pinged == []


async def test_without_proof_of_time_nothing_is_permitted_nor_called_late(desk: Desk) -> None:
    async with desk.working():
        assert desk.executor is not None
        with pytest.raises(MeterFailed, match="no proven time"):
            desk.executor._permit(COMMAND)


async def test_commands_for_one_meter_are_taken_in_turn(desk: Desk) -> None:
    desk.mandate = replace(
        desk.mandate,
        ceilings=CeilingsConfig(disconnects_per_hour=9, disconnects_per_day=9, seconds_between=0),
    )
    async with desk.working():
        desk.prove()
        for number, kind in enumerate(["relay.disconnect", "relay.reconnect"] * 4, start=1):
            desk.give(changed(id=f"c-{number}", counter=number, kind=kind))
        states = [(await desk.last()).state for _ in range(8)]
    assert states == ["confirmed"] * 8
    assert [action for _, action in desk.wall.moves] == [
        RelayAction.DISCONNECT,
        RelayAction.RECONNECT,
    ] * 4
