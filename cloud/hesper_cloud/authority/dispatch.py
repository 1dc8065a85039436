"""Signs what is queued.

A command is signed once: counter, budget use, envelope, audit row and the state ``sent`` are one
transaction, and only then are its octets published. Until the gateway answers, the same octets are
published again (a broker may lose what it acknowledged; a gateway that knows the command answers
from its journal). After the command's last moment no gateway acts on it; then the answer is
awaited a little longer, and after that the state is ``unknown`` until the relay has been read.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from hesper_contracts import commands, parameters, trace
from hesper_contracts.signing import Signer
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hesper_cloud.authority import facts, life, rules, timing, together
from hesper_cloud.authority.batches.frozen import Approvals
from hesper_cloud.authority.batches.sealing import BatchSeals
from hesper_cloud.authority.closing import WAITS
from hesper_cloud.authority.facts import MeterFacts
from hesper_cloud.authority.giving_way import GiveWay, looking_up
from hesper_cloud.authority.kinds import CUTTING
from hesper_cloud.authority.malformed import MALFORMED
from hesper_cloud.authority.many import many_meters
from hesper_cloud.authority.outgoing import Outgoing, outgoing_of
from hesper_cloud.authority.policy import JOBS, Policy
from hesper_cloud.authority.spacing import Spacing
from hesper_cloud.authority.under_way import UnderWay
from hesper_cloud.db.authority import BudgetUse, CommandRecord, GatewayCounter
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import CLOCK_TOLERANCE
from hesper_cloud.observing.context import within
from hesper_cloud.worded import later, told_by, worded

SELF = "authority"
_log = logging.getLogger(__name__)
_AT_ONCE = 200
_MOST_SKIPPED = 2**32

Making = Callable[[Session, CommandRecord, datetime], dict[str, Any]]
"""Makes what a command carries in the place of what was asked for, as a part of its signing."""


class _Order(NamedTuple):
    """What an envelope gets at its signing."""

    counter: int
    parameters: dict[str, Any]


class _Signing(NamedTuple):
    """What is the same for all commands that are signed in one transaction."""

    session: Session
    policy: Policy
    meters: Mapping[str, MeterFacts]
    seals: BatchSeals
    under_way: UnderWay


class Dispatcher:
    """Moves commands from the queue to the broker."""

    def __init__(
        self,
        registry: Engine,
        authority: Engine,
        signer: Signer,
        approvals: Approvals,
        give_way: GiveWay,
        makings: Mapping[str, Making],
    ) -> None:
        """Takes databases, key, what is known of batches, and what is made only when signed."""
        self._registry = registry
        self._authority = authority
        self._signer = signer
        self._approvals = approvals
        self._give_way = give_way
        self._makings = makings
        self.spacing = Spacing()
        """Of commands that can cut a supply; batches keep to the same."""
        self._passed = 0  # of the queue: the first of it all wait for their time

    def sign_queued(self, now: datetime) -> list[Outgoing]:
        """Signs every queued command whose turn it is: what a person waits for, oldest first.

        Disconnects follow, and last what the gap ledger asks for.

        Raises:
            GivesWay: the kill switch waits; nothing is signed.
        """
        self._give_way()
        last = (CommandRecord.requester == JOBS, CommandRecord.kind.in_(CUTTING))
        turns = (*last, CommandRecord.batch.is_not(None), CommandRecord.queued_at)
        query = select(CommandRecord.id).where(CommandRecord.state == "queued").order_by(*turns)
        with reading(self._authority) as session:
            waiting = session.scalars(query.offset(self._passed).limit(_AT_ONCE)).all()
        signed = self._sign_many(waiting, now) if waiting else []
        stuck = len(waiting) == _AT_ONCE and not signed
        self._passed = self._passed + _AT_ONCE if stuck else 0
        return signed

    def _sign_many(self, ids: Sequence[str], now: datetime) -> list[Outgoing]:
        """Signs at once; where one of them is malformed each for itself, and that one never."""
        try:
            return self._sign(ids, now)
        except MALFORMED as error:
            if len(ids) == 1:
                with within(trace.of_command(ids[0])):
                    _log.error("command %s cannot be signed: %s", ids[0], type(error).__name__)
                self._turn_down(ids[0], now)
                return []
        return [outgoing for one in ids for outgoing in self._sign_many([one], now)]

    def _turn_down(self, command_id: str, now: datetime) -> None:
        with writing(self._authority) as session:
            command = session.get_one(CommandRecord, command_id)
            why = later("it cannot be signed as it is stored")
            life.move(session, command, life.Move("rejected", SELF, why), now)

    def _sign(self, ids: Sequence[str], now: datetime) -> list[Outgoing]:
        """Signs those whose turn it is; all of them are one transaction."""
        with writing(self._authority) as session:
            known = together.commands(session, ids)
            several = [known[command_id] for command_id in ids if command_id in known]
            held = together.around(session, several)
            meters = many_meters(self._registry, [command.meter for command in several])
            seals = BatchSeals(session, several, self._approvals, now)
            under_way = UnderWay(session, several)
            about = _Signing(session, facts.active_policy(session), meters, seals, under_way)
            signed = [
                self._sign_one(about, command, now)
                for command in looking_up(several, self._give_way)
            ]
            del held
        return [outgoing for outgoing in signed if outgoing is not None]

    def has_queued(self) -> bool:
        """Says whether a command waits for its turn."""
        return self._has("queued")

    def awaits_results(self) -> bool:
        """Says whether a command is at a gateway."""
        return self._has(*life.AT_GATEWAY)

    def _has(self, *states: str) -> bool:
        query = select(CommandRecord.id).where(CommandRecord.state.in_(states)).limit(1)
        with reading(self._authority) as session:
            return session.scalar(query) is not None

    def _sign_one(self, about: _Signing, command: CommandRecord, now: datetime) -> Outgoing | None:
        session, policy = about.session, about.policy
        if command.state != "queued" or (command.not_after or now) <= now:
            return None
        if command.kind in CUTTING and not self.spacing.is_over(session, policy, now):
            return None
        try:
            about.seals.check(command)
            rules.check_people(session, policy, command)
            waits = timing.waits(session, self._registry, policy, command, now)
            if waits is not None:
                command.detail, command.said = f"{WAITS}{waits}", None
                return None
            about.under_way.check(command)
            meter = self._checked_meter(about, command, now)
            counter = _next_counter(session, command.gateway, meter.reported_counter)
            order = _Order(counter, self._carried(session, command, now))
        except rules.Denied as refusal:
            if command.state == "queued":  # else its batch was stopped, and it with it
                life.move(session, command, life.Move("rejected", SELF, told_by(refusal)), now)
            return None
        outgoing = self._send(session, command, meter, order, now)
        about.under_way.add(command)
        return outgoing

    def _carried(self, session: Session, command: CommandRecord, now: datetime) -> dict[str, Any]:
        making = self._makings.get(command.kind)
        return making(session, command, now) if making else command.parameters

    def _checked_meter(self, about: _Signing, command: CommandRecord, now: datetime) -> MeterFacts:
        named = (command.kind, command.meter, command.gateway)
        known = about.meters.get(command.meter)
        meter = (
            rules.require_meter(known, command.meter)
            if known
            else rules.require_addressee(self._registry, *named)
        )
        if meter.gateway != command.gateway:
            raise rules.Denied(
                worded(
                    "the meter has moved from {gateway} to {gateway_2}",
                    gateway=command.gateway,
                    gateway_2=meter.gateway,
                )
            )
        rules.check_reach(self._registry, about.session, command, meter)
        rules.check_sendable(about.session, about.policy, command.kind, meter, now)
        if command.batch is not None:  # asked for days ago, maybe
            rules.check_relay_known(about.policy, command.kind, meter, now)
        return meter

    def _send(
        self,
        session: Session,
        command: CommandRecord,
        meter: MeterFacts,
        order: _Order,
        now: datetime,
    ) -> Outgoing:
        not_after = command.not_after or now
        envelope = commands.Command(
            id=command.id,
            kind=command.kind,  # type: ignore[arg-type]  # one of the contract's kinds
            gateway=command.gateway,
            meter=command.meter,
            logical_device_name=meter.logical_device_name,
            counter=order.counter,
            issued_at=now,
            not_before=now - CLOCK_TOLERANCE,
            not_after=not_after,
            requester=command.requester,
            approver=command.approver,
            reason=command.reason,
            parameters=order.parameters,
            image_hash=parameters.image_of(command.kind, order.parameters),
        )
        if command.kind in CUTTING:
            session.add(BudgetUse(command_id=command.id, at=now, gateway=command.gateway))
        life.move(
            session,
            command,
            life.Move("sent", SELF, worded("signed with counter {counter}", counter=order.counter)),
            now,
            counter=order.counter,
            sent_at=now,
            not_before=envelope.not_before,
            envelope=commands.to_payload(envelope, self._signer),
        )
        return outgoing_of(command)


def _next_counter(session: Session, gateway: str, reported: int) -> int:
    """Takes the gateway's next counter, past what it says it has already seen.

    Raises:
        Denied: that is further ahead than any gateway gets; only believing it would do harm.
    """
    row = session.get(GatewayCounter, gateway)
    if row is None:
        row = GatewayCounter(gateway=gateway, next=1)
        session.add(row)
    if reported - row.next > _MOST_SKIPPED:
        raise rules.Denied(
            worded(
                "{gateway} says it has seen command counter {reported}: look into it",
                gateway=gateway,
                reported=reported,
            )
        )
    counter = max(row.next, reported + 1)
    row.next = counter + 1
    return counter
