"""Command execution: at most once, only what the authority signed, proven by reading back.

Theory of operation
-------------------
An envelope is judged strictly in this order, and whatever fails moves no relay:

1. signature, schema, gateway. Not trusted: counted and told as an alarm, never answered.
2. a command id that the journal knows gets its journalled result again, and nothing else happens.
3. time proven since the start, within ``not_before`` … ``not_after`` (else it is proven once more
   first), and issued after the journal began. A lost journal may have let it happen: what does
   more than read is unknown then, whatever speaks against it.
4. a meter of this gateway with the logical device name that the command names, or this gateway
   itself; parameters that fit the kind, and what the kind needs there.
5. counter fresh in the replay window, and below this gateway's own ceilings on disconnects. One
   that comes too soon after the last waits, while its time lasts, and takes steps 3 to 5 again.

Step 5 and the entry *executing* are one durable transaction (see `journal`). Then the relay is
moved once and read back (see `execution`), and the result is journalled and signed in one
transaction. What a restart finds in *executing* is read back and never moved again; what only reads
is done again as soon as time is proven, however long that takes. Commands for one meter are taken
one after another, those that may take long apart from the relay's, and those for firmware, which
may take days, apart from both.
"""

import asyncio
import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from hesper_contracts import commands, jsonbody
from hesper_contracts.commands import Command, is_for_gateway
from hesper_contracts.frame import Refused
from hesper_contracts.results import CommandResult, without_conversation
from hesper_contracts.signing import Forged, Keyring

from hesper_gateway import execution, journal
from hesper_gateway.config import CeilingsConfig
from hesper_gateway.database import Database, Job, StorageFull
from hesper_gateway.errors import CommandExpired, MeterFailed
from hesper_gateway.execution import Lane, Meters, Outcome, Patience
from hesper_gateway.journal import CeilingReached, Entry, Replayed, TooSoon
from hesper_gateway.outbox import Outbox
from hesper_gateway.timeproof import TimeProof

log = logging.getLogger(__name__)

MOST_WAITING = 1000
MOST_AT_ONCE = 200
PROOF_WAIT_S = 5.0
REPEAT_QUIET_S = 10.0
LONGEST_PAUSE_S = 1.0
STORE_AGAIN_S = 5.0
NOT_KNOWN = "whether it was carried out before that is not known"
NO_PROOF = Outcome("rejected", "the gateway has no proven time since its start")

Alarm = Callable[[str, str], None]
"""Takes an event code and a text; returns at once."""


@dataclass(frozen=True, slots=True)
class Mandate:
    """Whose word counts, for whom, and how far.

    Attributes:
        gateway: This gateway's name.
        keys: The authority's keys.
        ceilings: This gateway's own limits.
        names: Logical device name by meter id; only meters with one can be commanded.
        in_reach: By meter id, how many supplies can be cut through its line; 1 for what is absent.
        proof_wait_s: How long a command may wait for the first proof of time.
        patience: How long an open outcome is inquired.
    """

    gateway: str
    keys: Keyring
    ceilings: CeilingsConfig
    names: Mapping[str, str]
    in_reach: Mapping[str, int] = field(default_factory=dict)
    proof_wait_s: float = PROOF_WAIT_S
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Records:
    """Where commands are journalled and results leave from."""

    database: Database
    outbox: Outbox


class Executor:
    """Takes envelopes and carries them out; `run` it as a task.

    Attributes:
        refused: Envelopes that were not trusted, by reason.
    """

    def __init__(
        self,
        mandate: Mandate,
        records: Records,
        time_proof: TimeProof,
        meters: Meters,
        alarm: Alarm,
    ) -> None:
        self._mandate = mandate
        self._database = records.database
        self._outbox = records.outbox
        self._time = time_proof
        self._meters = meters
        self._alarm = alarm
        self._waiting: dict[Lane, asyncio.Queue[tuple[Command, bytes]]] = {
            lane: asyncio.Queue(MOST_WAITING) for lane in Lane
        }
        self._turns: defaultdict[tuple[str, Lane], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._told_again: dict[str, float] = {}
        self.refused: Counter[str] = Counter()

    def receive(self, payload: bytes) -> None:
        """Takes an envelope as it came, if it is trusted (step 1); returns at once.

        More than can wait are dropped; each lane waits apart.
        """
        try:
            command = commands.from_payload(payload, self._mandate.keys, self._mandate.gateway)
            self._waiting[execution.lane_of(command)].put_nowait((command, payload))
        except Forged as forged:
            self._distrust("gateway.command_forged", str(forged))
        except Refused as refused:
            self._distrust("gateway.command_refused", str(refused))
        except asyncio.QueueFull:
            self.refused["too many waiting"] += 1

    async def run(self) -> None:
        """Clears up what a restart left open, then executes; runs for ever."""
        async with asyncio.TaskGroup() as tasks:
            for entry in journal.executing(self._database):
                tasks.create_task(self._resume(entry), name=f"command-{entry.command_id}")
            for waiting in self._waiting.values():
                tasks.create_task(self._take(waiting, tasks), name="commands-waiting")

    async def _take(
        self, waiting: asyncio.Queue[tuple[Command, bytes]], tasks: asyncio.TaskGroup
    ) -> None:
        """Handles some at once, so that hundreds of long readings keep no relay waiting."""
        at_once = asyncio.Semaphore(MOST_AT_ONCE)
        while True:
            command, payload = await waiting.get()
            await at_once.acquire()
            work = tasks.create_task(self._handle(command, payload), name="command")
            work.add_done_callback(lambda _: at_once.release())

    async def _handle(self, command: Command, payload: bytes) -> None:
        """Judges a trusted envelope in its meter's turn; nothing it says can end the process."""
        try:
            async with self._turn(command):
                await self._judge(command, payload)
        except Replayed as replayed:
            self._distrust("gateway.command_replayed", str(replayed))
        except Refused as refused:  # its result was journalled by a later release
            self._distrust("gateway.command_refused", f"{command.id} was taken before: {refused}")
        except StorageFull as full:
            self._distrust("gateway.command_dropped", f"nothing can be journalled: {full}")

    async def _judge(self, command: Command, payload: bytes) -> None:
        """Takes the steps 2 to 5. Raises Replayed, or StorageFull before anything was done."""
        digest = hashlib.sha256(payload).digest()
        known = journal.find(self._database, command.id)
        if known is not None:
            await self._tell_again(known, digest)
            return
        objection = await self._admit(command, digest)
        if objection is not None:
            await self._refuse(command, digest, objection)
            return
        name, patience = self._name(command) or "", self._mandate.patience
        outcome = await execution.act(
            command, name, self._meters, lambda: self._permit(command), patience
        )
        await self._settle(command, outcome)

    def _turn(self, command: Command) -> asyncio.Lock:
        return self._turns[command.meter, execution.lane_of(command)]

    async def _admit(self, command: Command, digest: bytes) -> Outcome | None:
        """Takes the steps 3 to 5; returns an objection, or None once *executing* is durable."""
        while True:
            now = await self._time_for(command)
            if now is not None:
                await self._begin_journal()
            objection = self._objection(command, now) if now is not None else NO_PROOF
            if objection is not None:
                return self._as_known(command, objection)
            try:
                await self._accept(command, digest)
            except TooSoon as early:
                await asyncio.sleep(min(early.wait_s, LONGEST_PAUSE_S))
            except CeilingReached as reached:
                self._alarm("gateway.ceiling_reached", str(reached))
                return Outcome("rejected", f"gateway ceiling: {reached}")
            else:
                return None

    async def _time_for(self, command: Command) -> datetime | None:
        """Returns the proven time, proven anew where it would speak against the command."""
        now = await self._time.wait(self._mandate.proof_wait_s)
        if now is None or command.not_before <= now <= command.not_after:
            return now
        await self._time.renew(self._mandate.proof_wait_s)
        return self._time.now()

    async def _begin_journal(self) -> None:
        """Notes when a new journal began: no later than this start's first proof of time."""
        first = self._time.first_answer
        if first is not None and self._database.read(journal.is_new):
            await self._database.write(lambda c: journal.begin(c, first))

    def _objection(self, command: Command, now: datetime) -> Outcome | None:
        """Takes the steps 3 and 4."""
        if now < command.not_before:
            return Outcome("rejected", f"not valid before {command.not_before.isoformat()}")
        if now > command.not_after:
            return Outcome("expired", f"not valid after {command.not_after.isoformat()}")
        began = journal.beginning(self._database)
        if began is not None and command.issued_at < began:
            return Outcome("rejected", "issued before this gateway's journal began")
        name = self._name(command)
        if name is None:
            return Outcome("rejected", f"{command.meter} cannot be commanded at this gateway")
        if (command.logical_device_name or "") != name:
            return Outcome("rejected", f"{command.meter} has another device name at this gateway")
        never = self._meters.objection(command)
        return Outcome("rejected", never) if never is not None else None

    def _as_known(self, command: Command, objection: Outcome) -> Outcome:
        """Returns an objection; what a lost journal may have let happen is unknown, not refused."""
        began, not_begun = journal.beginning(self._database), self._database.read(journal.is_new)
        is_from_before = not_begun or (began is not None and command.issued_at < began)
        if not is_from_before or execution.only_reads(command):
            return objection
        return replace(objection, state="unknown", detail=f"{objection.detail}; {NOT_KNOWN}")

    def _name(self, command: Command) -> str | None:
        """Returns the device name that a command must have; empty for the gateway itself."""
        return "" if is_for_gateway(command.kind) else self._mandate.names.get(command.meter)

    async def _accept(self, command: Command, digest: bytes) -> None:
        """Takes step 5. Raises Replayed, CeilingReached or TooSoon."""
        ceilings, now_s = self._mandate.ceilings, self._time.earliest().timestamp()
        in_reach = self._mandate.in_reach.get(command.meter, 1)

        def accept(entry: Entry) -> Job[None]:
            return lambda c: journal.accept(c, command, entry, ceilings, now_s, in_reach)

        await self._record(command, digest, Outcome("executing"), accept)

    async def _refuse(self, command: Command, digest: bytes, objection: Outcome) -> None:
        def refuse(entry: Entry) -> Job[None]:
            return lambda c: journal.refuse(c, command, entry)

        await self._record(command, digest, objection, refuse)
        log.warning("command %s %s: %s", command.id, objection.state, objection.detail)

    async def _record(
        self,
        command: Command,
        digest: bytes,
        outcome: Outcome,
        step: Callable[[Entry], Job[None]],
    ) -> None:
        """Stores a result and the journal's step in one transaction."""
        result = outcome.result(command, self._now())
        entry = Entry(
            command.id, digest, jsonbody.encode(command), outcome.state, jsonbody.encode(result)
        )
        await self._outbox.append_result(result, step(entry))

    async def _settle(self, command: Command, outcome: Outcome) -> None:
        """Journals how it ended, however long the disk stays full."""
        result = outcome.result(command, self._now())
        body = jsonbody.encode(without_conversation(result))
        while True:
            try:
                await self._outbox.append_result(
                    result, lambda c: journal.settle(c, command.id, outcome.state, body)
                )
            except StorageFull:
                self._alarm("gateway.storage_full", f"command {command.id} cannot be journalled")
                await asyncio.sleep(STORE_AGAIN_S)
            else:
                whom = command.meter or "the gateway"
                log.info("command %s for %s: %s", command.id, whom, outcome.state)
                return

    async def _resume(self, entry: Entry) -> None:
        """After a restart in *executing*: reads back or reads again, never moves a relay again."""
        try:
            command = jsonbody.decode(entry.command, Command)
            lane = execution.lane_of(command)
            if lane is Lane.ERRAND and execution.is_run_again(command):
                await self._time.wait(None)  # outside of its turn: newer commands go ahead
            async with self._turn(command):
                await self._wait_for_time(lane)
                outcome = await execution.resume(
                    command, self._meters, lambda: self._permit(command), self._mandate.patience
                )
                await self._settle(command, outcome)
        except Refused as refused:  # by a later release, which may come back and end it
            self._distrust("gateway.command_refused", f"{entry.command_id} is open: {refused}")

    async def _wait_for_time(self, lane: Lane) -> None:
        """Waits for a proof of time; for firmware however long, what has begun is to go on."""
        if lane is not Lane.RELAY:
            is_patient = lane is Lane.FIRMWARE
            await self._time.wait(None if is_patient else self._mandate.proof_wait_s)

    async def _tell_again(self, known: Entry, digest: bytes) -> None:
        """Answers a repeated envelope with what the journal says, at most every ten seconds."""
        if known.digest != digest:
            raise Replayed(f"another envelope with the id of command {known.command_id}")
        now = asyncio.get_running_loop().time()
        if now - self._told_again.get(known.command_id, -REPEAT_QUIET_S) >= REPEAT_QUIET_S:
            self._told_again[known.command_id] = now
            await self._outbox.append_result(jsonbody.decode(known.result, CommandResult))

    def _permit(self, command: Command) -> None:
        """Passes within the command's time. Raises CommandExpired, MeterFailed without proof."""
        now = self._time.now()
        if now is None:
            raise MeterFailed(NO_PROOF.detail)
        if now > command.not_after:
            raise CommandExpired(f"not valid after {command.not_after.isoformat()}")

    def _distrust(self, code: str, text: str) -> None:
        self.refused[code] += 1
        self._alarm(code, text)

    def _now(self) -> datetime:
        return self._time.now() or datetime.now(UTC)
