"""Batches of commands: asked for and decided here in people's names, by the authority alone."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from itertools import pairwise

from sqlalchemy import Select, func, select

from hesper_cloud import csv_lines
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.authority.batches.states import FAILED, FINISHED
from hesper_cloud.db.authority import Batch, BatchRow
from hesper_cloud.db.engines import reading
from hesper_cloud.services import wishes
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.batch_records import (
    BatchOrder,
    BatchRowView,
    BatchVerb,
    BatchView,
    Decision,
    Exclusion,
    WaveView,
)
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.records import Page
from hesper_cloud.services.scope import sees_batch
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import restored, worded

BatchViews = list[BatchView]
RowViews = list[BatchRowView]
_MAX_ROWS = 1_000
_LINES_AT_ONCE = 2_000
_TITLES = [field.name for field in fields(BatchRowView)]
_PERMISSIONS: dict[BatchVerb, Permission] = {
    "pause": Permission.REQUEST_COMMAND,
    "abort": Permission.REQUEST_COMMAND,
}
_ENDED = {"finished": FINISHED, "failed": FAILED}
_TERMS = ("canary", "wave_size", "per_hour", "stop_percent")


class Batches:
    """Every call checks the role first; the authority checks all of it again."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._link = link

    async def propose(self, actor: Actor, order: BatchOrder, idempotency_key: str) -> BatchView:
        """Asks for a batch, which the authority freezes; the same key makes one batch.

        Raises:
            Refused, Unavailable, Invalid: as `AuthorityLink.ask` says; Invalid also for a kind that
                is not issued and for parameters that it does not take.
        """
        require(actor, Permission.REQUEST_COMMAND)
        parameters = wishes.parameters_of(order.kind, order.parameters)
        payload = {
            "kind": order.kind,
            "meters": await wishes.addressees(self._sources, actor, order.meters, order.query),
            "reason": order.reason,
            "parameters": parameters,
            **{name: getattr(order, name) for name in _TERMS},
        }
        outcome = await self._link.ask(actor, "batch.propose", payload, idempotency_key)
        return await self.get(actor, outcome["batch"])

    async def decide(
        self, actor: Actor, batch_id: str, decision: Decision, idempotency_key: str
    ) -> BatchView:
        """Carries one decision to the authority; see `Decision` for what it must bring."""
        self.check_may_decide(actor, decision.verb)
        await self.get(actor, batch_id)
        payload = {"batch": batch_id, "reason": decision.reason, "digest": decision.digest}
        if decision.stood_at is not None:
            payload["stood_at"] = decision.stood_at.isoformat()
        kind = f"batch.{decision.verb}"
        await self._link.ask(actor, kind, payload, idempotency_key, decision.password)
        return await self.get(actor, batch_id)

    def check_may_decide(self, actor: Actor, verb: BatchVerb) -> None:
        """Checks the role alone, for who looks at a batch before it carries a decision.

        Raises:
            NotPermitted: the role does not decide so.
        """
        require(actor, _PERMISSIONS.get(verb, Permission.APPROVE_COMMAND))

    async def list(self, actor: Actor, state: str | None = None, limit: int = 100) -> BatchViews:
        """Returns batches, newest first."""
        require(actor, Permission.READ)
        query = select(Batch).order_by(Batch.proposed_at.desc())
        if state:
            query = query.where(Batch.state == state)
        views = await asyncio.to_thread(self._views, query.limit(min(limit, _MAX_ROWS)))
        seen = set(await self.seen(actor, [view.id for view in views]))
        return [view for view in views if view.id in seen]

    async def get(self, actor: Actor, batch_id: str) -> BatchView:
        """Returns one batch.

        Raises:
            NotFound: there is none with this id.
        """
        require(actor, Permission.READ)
        found = await asyncio.to_thread(self._views, select(Batch).where(Batch.id == batch_id))
        if not found:
            raise NotFound(worded("there is no batch {batch}", batch=batch_id))
        await self.check_seen(actor, batch_id)
        return found[0]

    async def seen(self, actor: Actor, batch_ids: Sequence[str]) -> Sequence[str]:
        """Returns those of some batches that the actor sees."""
        engines = self._sources.registry, self._sources.authority
        return [
            each for each in batch_ids if await asyncio.to_thread(sees_batch, *engines, actor, each)
        ]

    async def check_seen(self, actor: Actor, batch_id: str) -> None:
        """Checks that a batch is the actor's to see.

        Raises:
            NotFound: it reaches beyond the actor's areas.
        """
        if not await self.seen(actor, [batch_id]):
            raise NotFound(worded("there is no batch {batch}", batch=batch_id))

    async def rows(
        self,
        actor: Actor,
        batch_id: str,
        state: str | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> Page[BatchRowView]:
        """Returns one page of a batch's rows, in the order of its list."""
        batch = await self.get(actor, batch_id)
        total = sum(count for of, count in batch.counts.items() if state in (None, of))
        rows = await asyncio.to_thread(self._rows, batch_id, state, offset, min(limit, _MAX_ROWS))
        return Page(tuple(rows), total, offset)

    async def excluded(self, actor: Actor, batch_id: str) -> tuple[Exclusion, ...]:
        """Returns why rows take no part, the most frequent cause first; frozen with the list."""
        await self.get(actor, batch_id)
        return await asyncio.to_thread(self._excluded, batch_id)

    async def waves(self, actor: Actor, batch_id: str) -> tuple[WaveView, ...]:
        """Returns how far each wave of a batch has come; none of one that has only a canary."""
        batch = await self.get(actor, batch_id)
        return await asyncio.to_thread(self._waves, batch) if batch.waves else ()

    async def csv(self, actor: Actor, batch_id: str) -> Iterator[bytes]:
        """Returns a batch's rows as CSV (RFC 4180), some thousand lines at a time.

        Nothing in it is a formula to a spreadsheet.
        """
        await self.get(actor, batch_id)
        return self._lines(batch_id)

    def _lines(self, batch_id: str) -> Iterator[bytes]:
        yield from csv_lines.lines([_TITLES])
        position = 0
        while rows := self._rows(batch_id, None, position, _LINES_AT_ONCE):
            position = rows[-1].position + 1
            yield from csv_lines.lines(map(_line, rows))

    def _rows(self, batch_id: str, state: str | None, offset: int, limit: int) -> RowViews:
        query = select(BatchRow).where(BatchRow.batch == batch_id).order_by(BatchRow.position)
        if state:
            query = query.where(BatchRow.state == state)
        with reading(self._sources.authority) as session:
            rows = session.scalars(query.offset(offset).limit(limit))
            return [_row_view(row) for row in rows]

    def _excluded(self, batch_id: str) -> tuple[Exclusion, ...]:
        left_out = (BatchRow.batch == batch_id) & BatchRow.excluded.is_not(None)
        count, first = func.count(), func.min(BatchRow.position)
        counted = select(count, first).where(left_out).group_by(BatchRow.excluded)
        with reading(self._sources.authority) as session:
            found = session.execute(counted.order_by(count.desc(), first)).all()
            rows = [_row_view(session.get_one(BatchRow, (batch_id, place))) for _, place in found]
        counts = [times for times, _ in found]
        return tuple(map(Exclusion, (row.excluded or "" for row in rows), counts))

    def _waves(self, batch: BatchView) -> tuple[WaveView, ...]:
        """Counts the rows of each wave, in the order of the list; those left out are in none."""
        with reading(self._sources.authority) as session:
            counts = [
                dict(session.execute(_of_wave(batch.id, begin, end)).all())
                for begin, end in pairwise([0, *(batch.waves or ())])
            ]
        return tuple(map(_wave, counts))

    def _views(self, query: Select[Batch]) -> BatchViews:
        with reading(self._sources.authority) as session:
            batches = session.scalars(query).all()
            counted = (
                select(BatchRow.batch, BatchRow.state, func.count())
                .where(BatchRow.batch.in_([batch.id for batch in batches]))
                .group_by(BatchRow.batch, BatchRow.state)
            )
            counts: dict[str, dict[str, int]] = {}
            for batch_id, state, count in session.execute(counted):
                counts.setdefault(batch_id, {})[state] = count
            return [_view(batch, counts.get(batch.id, {})) for batch in batches]


def _view(batch: Batch, counts: dict[str, int]) -> BatchView:
    names = (field.name for field in fields(BatchView) if field.name != "counts")
    told = {name: getattr(batch, name) for name in names}
    told["detail"] = batch.detail and restored(batch.detail, batch.said)
    return BatchView(**told, counts=counts)


def _row_view(row: BatchRow) -> BatchRowView:
    told = {name: getattr(row, name) for name in _TITLES}
    for name in ("excluded", "detail"):
        told[name] = told[name] and restored(told[name], row.said)
    return BatchRowView(**told)


def _of_wave(batch: str, begin: int, end: int) -> Select[str, int]:
    """Returns the question how many rows of a wave are in each state."""
    taking_part = (BatchRow.batch == batch) & BatchRow.excluded.is_(None)
    rows = select(BatchRow.state).where(taking_part).order_by(BatchRow.position)
    wave = rows.offset(begin).limit(end - begin).subquery()
    return select(wave.c.state, func.count()).group_by(wave.c.state)


def _wave(counts: Mapping[str, int]) -> WaveView:
    ended = {name: sum(counts.get(state, 0) for state in those) for name, those in _ENDED.items()}
    return WaveView(sum(counts.values()), confirmed=counts.get("confirmed", 0), **ended)


def _line(row: BatchRowView) -> list[object]:
    told = asdict(row)
    for name in ("released_at", "updated_at"):
        at = told[name]
        told[name] = at.isoformat(timespec="milliseconds") if at else ""
    return list(told.values())
