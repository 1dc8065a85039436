"""What people decide beside approving: release, break-glass, reviews, their own second factor."""

import asyncio
import json
import uuid
from dataclasses import asdict
from typing import Any

from sqlalchemy import select

from hesper_cloud.accounts import factors
from hesper_cloud.accounts.factors import Proof
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.authority import facts, people, second_factor
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.decisions import BreakGlass
from hesper_cloud.db.engines import reading
from hesper_cloud.services import wishes
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.records import BreakGlassRow, CommandWish, NewFactor
from hesper_cloud.services.scope import check_addressee, seen_meters
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

_MAX_ROWS = 1000


class Decisions:
    """Every call checks the role first; the authority checks all of it again."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._authority = sources.authority
        self._registry = sources.registry
        self._link = link

    async def release(self, actor: Actor, command: str, proof: Proof) -> str:
        """Says yes to a quarantined command; returns its state: the second yes lets it go."""
        require(actor, Permission.APPROVE_COMMAND)
        await self._check_command(actor, command)
        outcome = await self._ask(actor, "command.release", {"command": command}, proof)
        return str(outcome["state"])

    async def break_glass(
        self, actor: Actor, wish: CommandWish, proof: Proof, idempotency_key: str
    ) -> str:
        """Lets a command go without a second person, in an emergency; returns its id.

        Raises:
            Refused, Unavailable, Invalid: as `AuthorityLink.ask` says.
        """
        require(actor, Permission.REQUEST_COMMAND)
        parameters = wishes.parameters_of(wish.kind, wish.parameters)
        await check_addressee(self._registry, actor, wish.meter)
        payload = asdict(wish) | {"parameters": parameters}
        outcome = await self._link.ask(
            actor, "command.break_glass", payload, idempotency_key, proof.to_text()
        )
        return str(outcome["command"])

    async def broken(self, actor: Actor, *, unreviewed: bool = False) -> list[BreakGlassRow]:
        """Returns every use of break-glass, newest first."""
        require(actor, Permission.READ)
        return await asyncio.to_thread(self._broken, actor, unreviewed)

    async def review(
        self, actor: Actor, command: str, verdict: str, reason: str, proof: Proof
    ) -> None:
        """Signs what somebody else's use of break-glass was: ``justified`` or ``misused``."""
        require(actor, Permission.APPROVE_COMMAND)
        await self._check_command(actor, command)
        payload = {"command": command, "verdict": verdict, "reason": reason}
        await self._ask(actor, "break_glass.review", payload, proof)

    async def has_factor(self, actor: Actor) -> bool:
        """Says whether this account gives a code beside its password."""
        return await asyncio.to_thread(self._has_factor, actor.username)

    @staticmethod
    def new_factor(actor: Actor) -> NewFactor:
        """Returns a fresh secret and recovery codes, which count once `enrol` has been told."""
        secret = factors.new_secret()
        codes = factors.new_recovery_codes()
        return NewFactor(secret, factors.uri(secret, actor.username), codes)

    async def enrol(self, actor: Actor, factor: NewFactor, first: str, proof: Proof) -> None:
        """Makes a factor count, by the password and the first code that it shows.

        Raises:
            Refused: they do not fit, or a code of the present factor is missing.
        """
        sealed = {
            "password": proof.password,
            "code": proof.code,
            "secret": factor.secret,
            "first": first,
            "recovery": " ".join(factor.recovery_codes),
        }
        payload, key = {"account": actor.username}, uuid.uuid4().hex
        await self._link.ask(actor, people.ENROL, payload, key, json.dumps(sealed))

    async def policy(self, actor: Actor) -> dict[str, Any]:
        """Returns the rules under which commands leave now."""
        require(actor, Permission.READ)
        return await asyncio.to_thread(self._policy)

    async def _ask(
        self, actor: Actor, kind: str, payload: dict[str, Any], proof: Proof
    ) -> dict[str, Any]:
        return await self._link.ask(actor, kind, payload, uuid.uuid4().hex, proof.to_text())

    async def _check_command(self, actor: Actor, command: str) -> None:
        """Checks that a command is the actor's to see.

        Raises:
            NotFound: it is for a meter elsewhere, or a gateway, which serves many areas.
        """
        if not await asyncio.to_thread(self._sees, actor, command):
            raise NotFound(worded("there is no command {command}", command=command))

    def _sees(self, actor: Actor, command: str) -> bool:
        with reading(self._authority) as session:
            record = session.get(CommandRecord, command)
        return record is not None and record.meter in seen_meters(
            self._registry, actor, [record.meter]
        )

    def _has_factor(self, username: str) -> bool:
        with reading(self._authority) as session:
            return second_factor.of(session, username) is not None

    def _policy(self) -> dict[str, Any]:
        with reading(self._authority) as session:
            return facts.active_policy(session).model_dump(mode="json")

    def _broken(self, actor: Actor, unreviewed: bool) -> list[BreakGlassRow]:
        query = select(BreakGlass, CommandRecord.meter).outerjoin(
            CommandRecord, CommandRecord.id == BreakGlass.command
        )
        query = query.order_by(BreakGlass.at.desc()).limit(_MAX_ROWS)
        if unreviewed:
            query = query.where(BreakGlass.reviewed_at.is_(None))
        with reading(self._authority) as session:
            found = [(use, meter or "") for use, meter in session.execute(query)]
        seen = seen_meters(self._registry, actor, [meter for _, meter in found])
        return [
            BreakGlassRow(
                command=use.command,
                username=use.username,
                reason=use.reason,
                at=use.at,
                review_until=use.review_until,
                reviewed_by=use.reviewed_by,
                reviewed_at=use.reviewed_at,
                verdict=use.verdict,
                review=use.review,
                meter=meter,
            )
            for use, meter in found
            if meter in seen
        ]
