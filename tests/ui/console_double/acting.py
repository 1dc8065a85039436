"""The double's batches, emergencies and readings' quality: they move by themselves."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.authority.batches.waves import ends
from hesper_cloud.authority.policy import Policy
from hesper_cloud.services.about import Fact
from hesper_cloud.services.batch_records import (
    BatchOrder,
    BatchRowView,
    BatchView,
    Decision,
    Exclusion,
    WaveView,
)
from hesper_cloud.services.errors import Invalid, LoginRefused, NotFound, Refused
from hesper_cloud.services.geography import Box, Branch, Cluster, Spot
from hesper_cloud.services.records import (
    BreakGlassRow,
    CommandWish,
    MeterQuery,
    NewFactor,
    Page,
)
from hesper_cloud.services.validated import DayQuality, EditRow, FailedCheck
from hesper_cloud.validation.substitutes import Edit

if TYPE_CHECKING:
    from console_double.fleet import Fleet
    from console_double.services import DoubleServices

PASSWORD = "correct horse battery staple"
CODE = "123456"
CODED = "coded"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
FIRST_CODE = "246810"
"""An approver whose account has a second factor."""
UNFIT = "HES12643280"
"""A meter whose firmware cannot be brought: it fails a canary that it is in."""
GO_ON = {"approve", "resume", "retry", "release"}


def proven(actor: Actor, proof: Proof) -> None:
    if proof.password != PASSWORD or (actor.username == CODED and proof.code != CODE):
        raise LoginRefused("The password or the code is not right.")


class Settled:
    """Refusals by key, as the authority keeps them: a repeat gets the same answer."""

    def __init__(self) -> None:
        self._refused: dict[str, tuple[object, Exception]] = {}

    @contextmanager
    def once(self, key: str, asked: object) -> Iterator[None]:
        if key in self._refused:
            before, refusal = self._refused[key]
            raise refusal if asked == before else Invalid("this key was used for another request")
        try:
            yield
        except (Refused, LoginRefused) as refusal:
            self._refused[key] = asked, refusal
            raise


class Batches:
    """Batches live in memory; an approved one lets a row end each step."""

    STEP_S = 0.25

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_
        self.kept: dict[str, BatchView] = {}
        self.lines: dict[str, list[BatchRowView]] = {}
        self.keys: dict[str, str] = {}
        self._settled = Settled()
        self._walks: set[asyncio.Task[None]] = set()

    async def propose(self, actor: Actor, order: BatchOrder, idempotency_key: str) -> BatchView:
        self._all.check(actor, Permission.REQUEST_COMMAND)
        if idempotency_key in self.keys:
            return self._view(self.keys[idempotency_key])
        if not order.reason:
            raise Invalid("a batch has a reason")
        meters: Sequence[str] = order.meters
        if order.query is not None:
            whole = replace(order.query, limit=1_000_000)
            meters = [row.id for row in (await self._all.meters.page(actor, whole)).rows]
        batch_id = secrets.token_hex(8)
        rows = [self._row(position, meter) for position, meter in enumerate(meters)]
        if all(row.excluded for row in rows):
            raise Refused("no meter of this list may take part")
        now = datetime.now(UTC)
        digest = hashlib.sha256("\n".join(meters).encode()).hexdigest()
        self.lines[batch_id] = rows
        self.kept[batch_id] = BatchView(
            id=batch_id,
            kind=order.kind,
            parameters=order.parameters,
            reason=order.reason,
            requester=actor.username,
            approver=None,
            state="awaiting_approval",
            detail=None,
            digest=digest,
            canary=order.canary,
            wave_size=order.wave_size,
            per_hour=order.per_hour,
            stop_percent=order.stop_percent,
            allowance=50,
            proposed_at=now,
            approve_until=now + timedelta(hours=1),
            approved_at=None,
            updated_at=now,
            counts={},
        )
        self.keys[idempotency_key] = batch_id
        return self._view(batch_id)

    def _row(self, position: int, meter: str) -> BatchRowView:
        known = self._all.fleet.meters.get(meter)
        excluded = "unknown meter" if known is None else None
        if known is not None and known.life_support:
            excluded = "life support"
        state = "waiting" if excluded is None else "excluded"
        gateway = known.gateway if known else None
        now = datetime.now(UTC)
        return BatchRowView(
            position, meter, gateway, None, state, excluded, None, None, 0, None, now
        )

    async def decide(
        self, actor: Actor, batch_id: str, decision: Decision, idempotency_key: str
    ) -> BatchView:
        goes_on = decision.verb in GO_ON
        needed = Permission.APPROVE_COMMAND if goes_on else Permission.REQUEST_COMMAND
        self._all.check(actor, needed)
        batch = self._view(batch_id)
        with self._settled.once(idempotency_key, replace(decision, password="")):
            self._check(actor, batch, decision)
        state = {"reject": "rejected", "pause": "paused", "abort": "aborted"}.get(decision.verb)
        if decision.verb == "retry":
            self._turn(batch_id, "failed", "waiting")
        if decision.verb == "abort":
            self._turn(batch_id, "waiting", "withdrawn")
        approver = actor.username if goes_on else batch.approver
        first = "canary" if decision.verb == "approve" else "running"
        if goes_on:
            self._store(batch_id, approved_at=datetime.now(UTC))
        if decision.verb == "resume" and batch.waves:
            finished = batch.counts.get("confirmed", 0) + batch.counts.get("failed", 0)
            self._store(batch_id, wave=batch.wave + (finished == batch.waves[batch.wave]))
        self._store(batch_id, state=state or first, approver=approver, detail=decision.reason)
        if goes_on:
            walk = asyncio.get_running_loop().create_task(self._walk(batch_id))
            self._walks.add(walk)
            walk.add_done_callback(self._walks.discard)
        return self._view(batch_id)

    @staticmethod
    def _check(actor: Actor, batch: BatchView, decision: Decision) -> None:
        if decision.verb not in GO_ON:
            return
        proven(actor, Proof.from_text(decision.password))
        if batch.requester == actor.username:
            raise Refused("Another person must approve this.")
        if decision.digest != batch.digest:
            raise Refused("this is not the hash of the batch")
        if decision.verb != "approve" and decision.stood_at != batch.updated_at:
            raise Refused("the batch has moved since it was shown; look how it stands now")

    def _turn(self, batch_id: str, before: str, after: str) -> None:
        self.lines[batch_id] = [
            replace(row, state=after) if row.state == before else row
            for row in self.lines[batch_id]
        ]

    async def _walk(self, batch_id: str) -> None:
        while self.kept[batch_id].state in {"canary", "running"}:
            rows = self.lines[batch_id]
            at = next((i for i, row in enumerate(rows) if row.state == "waiting"), None)
            if at is None:
                self._store(batch_id, state="done", detail=None)
                return
            await asyncio.sleep(self.STEP_S)
            failing = rows[at].meter == UNFIT and rows[at].tries == 0
            found = "the image does not verify" if failing else "read back"
            state = "failed" if failing else "confirmed"
            tries = rows[at].tries + 1
            now = datetime.now(UTC)
            rows[at] = replace(rows[at], state=state, detail=found, tries=tries, updated_at=now)
            ended = Counter(row.state for row in rows)
            batch = self.kept[batch_id]
            over = ended["confirmed"] + ended["failed"]
            if 100 * ended["failed"] > batch.stop_percent * over:
                why = f"{ended['failed']} of {over} rows failed, more than {batch.stop_percent} %"
                self._store(batch_id, state="stopped", detail=why)
            elif batch.waves and over == batch.waves[batch.wave] and over < batch.waves[-1]:
                self._between(batch_id)
            elif over >= batch.canary and batch.state == "canary" and not batch.waves:
                self._store(batch_id, state="running")

    def _between(self, batch_id: str) -> None:
        """A wave is over: the next begins at once, or waits for a person."""
        batch = self.kept[batch_id]
        if batch.soak_s is None:
            self._store(batch_id, state="paused", detail="a wave is over")
        else:
            self._store(batch_id, state="running", wave=batch.wave + 1)

    def wave_by_wave(self, batch_id: str, shares: list[int], soak_s: int | None) -> None:
        """Has a batch leave in waves, as the authority freezes them."""
        total = sum(row.excluded is None for row in self.lines[batch_id])
        found = ends(shares, total)
        self.kept[batch_id] = replace(
            self.kept[batch_id], waves=found, canary=found[0], soak_s=soak_s
        )

    def waves(self, batch_id: str) -> tuple[WaveView, ...]:
        states = [row.state for row in self.lines[batch_id] if row.excluded is None]
        parts = [
            Counter(states[begin:end])
            for begin, end in pairwise([0, *(self.kept[batch_id].waves or ())])
        ]
        return tuple(
            WaveView(
                part.total(), part["confirmed"] + part["failed"], part["confirmed"], part["failed"]
            )
            for part in parts
        )

    def _store(self, batch_id: str, **changes: Any) -> None:
        now = datetime.now(UTC)
        self.kept[batch_id] = replace(self.kept[batch_id], updated_at=now, **changes)
        self._all.changes["commands"] += 1

    def _view(self, batch_id: str) -> BatchView:
        if batch_id not in self.kept:
            raise NotFound(f"there is no batch {batch_id}")
        counts = Counter(row.state for row in self.lines[batch_id])
        return replace(self.kept[batch_id], counts=dict(counts))

    async def list(self, actor: Actor, state: str | None, limit: int) -> list[BatchView]:
        self._all.check(actor, Permission.READ)
        rows = [self._view(each) for each in reversed(self.kept)]
        return [row for row in rows if state in (None, row.state)][:limit]

    async def get(self, actor: Actor, batch_id: str) -> BatchView:
        self._all.check(actor, Permission.READ)
        return self._view(batch_id)

    async def rows(
        self, actor: Actor, batch_id: str, state: str | None, offset: int, limit: int
    ) -> Page[BatchRowView]:
        self._all.check(actor, Permission.READ)
        rows = [row for row in self.lines[batch_id] if state in (None, row.state)]
        return Page(tuple(rows[offset : offset + limit]), len(rows), offset)

    async def excluded(self, actor: Actor, batch_id: str) -> Sequence[Exclusion]:
        self._all.check(actor, Permission.READ)
        causes = Counter(row.excluded for row in self.lines[batch_id] if row.excluded)
        return [Exclusion(*each) for each in causes.most_common()]

    async def csv(self, actor: Actor, batch_id: str) -> Iterator[bytes]:
        self._all.check(actor, Permission.READ)
        self._view(batch_id)
        lines = (f"{row.position},{row.meter},{row.state}\n" for row in self.lines[batch_id])
        return iter([b"position,meter,state\n", "".join(lines).encode()])


class Decisions:
    """Emergencies and what others say of them."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_
        self.uses: list[BreakGlassRow] = []
        self.released: dict[str, set[str]] = {}
        self._settled = Settled()

    async def has_factor(self, actor: Actor) -> bool:
        return actor.username == CODED

    @staticmethod
    def new_factor(actor: Actor) -> NewFactor:
        return NewFactor(SECRET, f"otpauth://totp/Hesper:{actor.username}?secret={SECRET}", ["a-b"])

    async def enrol(self, actor: Actor, factor: NewFactor, first: str, proof: Proof) -> None:
        proven(actor, proof)
        if first != FIRST_CODE:
            raise Refused("the first code does not fit")
        own = self._all.members.rows[actor.username]
        self._all.members.rows[actor.username] = replace(own, factor_since=datetime.now(UTC))

    async def policy(self, actor: Actor) -> dict[str, Any]:
        self._all.check(actor, Permission.READ)
        return Policy().model_dump(mode="json")

    async def release(self, actor: Actor, command: str, proof: Proof) -> str:
        self._all.check(actor, Permission.APPROVE_COMMAND)
        proven(actor, proof)
        said = self.released.setdefault(command, set())
        said.add(actor.username)
        if len(said) < 2:
            return "quarantined"
        self._all.commands.send_off(command)
        return "queued"

    async def break_glass(
        self, actor: Actor, wish: CommandWish, proof: Proof, idempotency_key: str
    ) -> str:
        self._all.check(actor, Permission.REQUEST_COMMAND)
        with self._settled.once(idempotency_key, wish):
            proven(actor, proof)
        row = await self._all.commands.request(actor, wish, idempotency_key)
        self._all.commands.send_off(row.id)
        now = datetime.now(UTC)
        until = now + timedelta(hours=24)
        use = BreakGlassRow(
            row.id, actor.username, wish.reason, now, until, None, None, None, None, row.meter
        )
        self.uses.insert(0, use)
        return row.id

    async def broken(self, actor: Actor) -> list[BreakGlassRow]:
        self._all.check(actor, Permission.READ)
        return list(self.uses)

    async def review(
        self, actor: Actor, command: str, verdict: str, reason: str, proof: Proof
    ) -> None:
        self._all.check(actor, Permission.APPROVE_COMMAND)
        proven(actor, proof)
        now = datetime.now(UTC)
        self.uses = [
            replace(
                use, reviewed_by=actor.username, reviewed_at=now, verdict=verdict, review=reason
            )
            if use.command == command
            else use
            for use in self.uses
        ]


class Validated:
    """Days of doubtful quality, failed checks, and edits that are kept in memory."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_
        self.made: list[EditRow] = []

    async def quality(self, actor: Actor, meter: str, first: date, last: date) -> list[DayQuality]:
        self._all.check(actor, Permission.READ)
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        return [
            DayQuality(meter, day, 83 if day.day % 5 == 0 else 100, 96, 96, 12, 4, 0)
            for day in days
        ]

    async def worst(self, actor: Actor, day: date, limit: int) -> list[DayQuality]:
        meters = list(self._all.check(actor, Permission.READ).meters)[:12]
        return [
            DayQuality(meter, day, 42 + 5 * n, 96, 96 - 2 * (12 - n), 3, 8, n % 2)
            for n, meter in enumerate(meters)
        ][:limit]

    async def failed_checks(
        self, actor: Actor, meter: str, start: datetime, end: datetime
    ) -> list[FailedCheck]:
        self._all.check(actor, Permission.READ)
        at = int(end.timestamp()) // 900 * 900 - 40_000
        return [
            FailedCheck("spike", "1.0.1.8.0.255", at, at, 1),
            FailedCheck("missing", "1.0.1.8.0.255", at - 90_000, at - 75_600, 16),
        ]

    async def edits(
        self, actor: Actor, meter: str, start: datetime, end: datetime
    ) -> list[EditRow]:
        self._all.check(actor, Permission.READ)
        return [row for row in self.made if row.meter == meter and row.withdrawn_at is None]

    async def edit(self, actor: Actor, edit: Edit) -> EditRow:
        self._all.check(actor, Permission.EDIT_READINGS)
        row = EditRow(
            id=len(self.made) + 1,
            meter=edit.curve.meter,
            profile=edit.curve.profile,
            logical_name=edit.curve.logical_name,
            captured_at=edit.captured_at,
            version=1,
            method="edit",
            value=edit.value,
            scaler=edit.scaler,
            unit=edit.unit,
            made_at=datetime.now(UTC),
            made_by=actor.username,
            reason=edit.reason,
            withdrawn_at=None,
            withdrawn_by=None,
        )
        self.made.append(row)
        return row

    async def withdraw(self, actor: Actor, edit_id: int, reason: str, key: str) -> EditRow:
        self._all.check(actor, Permission.EDIT_READINGS)
        index = edit_id - 1
        now = datetime.now(UTC)
        self.made[index] = replace(self.made[index], withdrawn_at=now, withdrawn_by=actor.username)
        return self.made[index]


class Geography:
    """Meters strewn around Berlin, two gateways, and a small grid."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_
        self.placed = True

    def _at(self, meter: str) -> tuple[float, float]:
        seed = int(meter[-6:])
        return 52.42 + seed * 7919 % 1000 / 5000, 13.2 + seed * 104_729 % 1000 / 3000

    async def extent(self, actor: Actor) -> Box | None:
        meters = self._all.check(actor, Permission.READ).meters
        return Box(52.42, 13.2, 52.62, 13.53) if meters and self.placed else None

    async def clusters(self, actor: Actor, query: MeterQuery, cell: float) -> list[Cluster]:
        fleet = self._all.check(actor, Permission.READ)
        south, west, north, east = query.box or (-90, -180, 90, 180)
        cells: dict[tuple[int, int], list[str]] = {}
        for meter in fleet.meters:
            at = self._at(meter)
            if south <= at[0] <= north and west <= at[1] <= east:
                cells.setdefault((int(at[0] / cell), int(at[1] / cell)), []).append(meter)
        return [self._cluster(fleet, meters) for meters in cells.values()]

    def _cluster(self, fleet: Fleet, meters: list[str]) -> Cluster:
        spots = [self._at(meter) for meter in meters]
        worst = {alert.meter: alert.severity for alert in fleet.alerts}
        ranks = Counter(worst.get(meter, "info") for meter in meters)
        return Cluster(
            sum(lat for lat, _ in spots) / len(spots),
            sum(lon for _, lon in spots) / len(spots),
            len(meters),
            ranks["critical"],
            ranks["warning"],
            sum(not fleet.meters[meter].online for meter in meters),
            meters[0] if len(meters) == 1 else None,
        )

    async def gateways(self, actor: Actor) -> list[Spot]:
        rows = self._all.check(actor, Permission.READ).gateways
        return [
            Spot(row.id, row.state, 52.47 + n / 20, 13.3 + n / 12, row.last_seen_at)
            for n, row in enumerate(rows.values())
        ]

    async def branches(self, actor: Actor) -> list[Branch]:
        count = len(self._all.check(actor, Permission.READ).meters)
        if not count:
            return []
        return [
            Branch("north", "area", "North", None, 0, 0, 0, 0),
            Branch("f-000", "feeder", "Feeder 000", "north", count // 2, 1, 2, 4),
            Branch("t-17", "transformer", "Transformer 17", "f-000", count // 3, 0, 0, 0),
        ]


class About:
    """An installation in which everything answers but the broker."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_

    async def facts(self, actor: Actor) -> tuple[Fact, ...]:
        self._all.check(actor, Permission.READ_AUDIT)
        return (
            Fact("runs", "version", "0.1.0"),
            Fact("runs", "registry", "sqlite", is_well=True),
            Fact("runs", "authority", "sqlite", is_well=True),
            Fact("runs", "broker", "127.0.0.1:1883, TLS", is_well=False),
            Fact("runs", "store", "duckdb"),
            Fact("retention", "readings", "for ever"),
            Fact("retention", "ids of batches", "400 days"),
            Fact("web", "session", "12 h"),
            Fact("keys", "release keys of firmware", "2"),
            Fact("rules", "time zone of days", "Europe/Berlin"),
        )
