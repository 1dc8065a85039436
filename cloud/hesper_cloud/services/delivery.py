"""What administrators do with delivery: targets, routes, and tests of targets.

Every change is audited before it is done. Secrets go in and never come out: a webhook's is made
here and shown once. A secret stays with the server it was given for: where a target is led to
another one, a password is asked for again, and a webhook's secret is made anew.
"""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Delete, delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.delivery import Delivery, DeliveryRoute, DeliveryTarget
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.delivery.errors import NotDelivered
from hesper_cloud.delivery.messages import line
from hesper_cloud.delivery.routes import RoutePolicy
from hesper_cloud.delivery.sending import Sender
from hesper_cloud.delivery.targets import Config
from hesper_cloud.delivery.transports import Transports
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.delivery_records import (
    NewTarget,
    RouteRow,
    TargetRow,
    Tested,
    route_row,
    target_row,
)
from hesper_cloud.services.delivery_secrets import sealed, secret_instead
from hesper_cloud.services.errors import Invalid, NotFound, Stale
from hesper_cloud.services.scope import require_everywhere
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.vault import Vault
from hesper_cloud.worded import told_by, worded

_Kept = TypeVar("_Kept", DeliveryTarget, DeliveryRoute)
_WHAT: dict[type[Any], str] = {DeliveryTarget: "target", DeliveryRoute: "route"}
_TESTING = "testing"
_AUDITED = 450  # characters that the audit log takes


@dataclass(frozen=True, slots=True)
class TargetWish:
    """A target as an administrator wants it; without a secret the one that is there stays."""

    name: str
    config: Config
    enabled: bool = True
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RouteWish:
    """A route as an administrator wants it."""

    name: str
    target: int
    policy: RoutePolicy
    enabled: bool = True


class DeliveryDesk:
    """Keeps targets and routes, and tries a target."""

    def __init__(self, sources: Sources, link: AuthorityLink, vault: Vault) -> None:
        self._sources = sources
        self._link = link
        self._vault = vault
        settings, clock = sources.settings, sources.clock
        ways = Transports(settings, vault, clock)
        self._sender = Sender(sources.registry, settings.delivery, clock, ways)

    def close(self) -> None:
        """Ends the connections that tests have made."""
        self._sender.close()

    async def put_target(
        self, actor: Actor, wish: TargetWish, target_id: int | None = None, version: int = 0
    ) -> NewTarget:
        """Makes a target, or changes one; of a webhook without a secret one is made.

        Raises:
            NotFound: there is no such target.
            Stale: it was changed since the version that is named.
            Invalid: the name is taken, or the kind would change.
        """
        _may_change(actor)
        before = await self._before(DeliveryTarget, target_id, version)
        if before is not None and before.kind != wish.config.kind:
            raise Invalid(
                worded("a target of kind {kind} stays one; make another", kind=before.kind)
            )
        made = None if wish.secret else secret_instead(before, wish.config)
        verb = "make" if before is None else "change"
        await self._note(actor, f"delivery.target_{verb}", f"target {wish.name}", wish.config.kind)
        row = await asyncio.to_thread(self._put_target, actor, wish, target_id, made)
        return NewTarget(row, made)

    async def put_route(
        self, actor: Actor, wish: RouteWish, route_id: int | None = None, version: int = 0
    ) -> RouteRow:
        """Makes a route, or changes one; raises as `put_target` does."""
        _may_change(actor)
        await self._before(DeliveryTarget, wish.target)
        before = await self._before(DeliveryRoute, route_id, version)
        verb = "make" if before is None else "change"
        said = wish.policy.model_dump_json()
        await self._note(actor, f"delivery.route_{verb}", f"route {wish.name}", said)
        return await asyncio.to_thread(self._put_route, wish, route_id)

    async def remove_target(self, actor: Actor, target_id: int) -> None:
        """Removes a target with its routes and messages, delivered or not.

        Raises:
            NotFound: there is no such target.
        """
        await self._remove(actor, DeliveryTarget, target_id)

    async def remove_route(self, actor: Actor, route_id: int) -> None:
        """Removes a route; what it brought into the outbox is delivered all the same.

        Raises:
            NotFound: there is no such route.
        """
        await self._remove(actor, DeliveryRoute, route_id)

    async def test(self, actor: Actor, target_id: int) -> Tested:
        """Sends a test to a target at once; it is in the log as any message.

        Raises:
            NotFound: there is no such target.
        """
        _may_change(actor)
        known = await self._before(DeliveryTarget, target_id)
        await self._note(actor, "delivery.test", f"target {known and known.name}")
        delivery = await asyncio.to_thread(self._make_test, target_id)
        try:
            answer = await asyncio.to_thread(self._sender.try_now, delivery)
        except NotDelivered as refusal:
            return Tested(False, told_by(refusal))
        return Tested(True, answer)

    async def _note(self, actor: Actor, action: str, subject: str, after: str = "") -> None:
        payload = {"action": action, "subject": subject, "after": line(after, _AUDITED) or None}
        await self._link.ask(actor, "audit.note", payload, f"delivery-{uuid.uuid4().hex}")

    async def _remove(self, actor: Actor, kind: type[_Kept], row_id: int) -> None:
        _may_change(actor)
        known = await self._before(kind, row_id)
        what = _WHAT[kind]
        await self._note(actor, f"delivery.{what}_remove", f"{what} {known and known.name}")
        await asyncio.to_thread(self._execute, delete(kind).where(kind.id == row_id))

    async def _before(
        self, kind: type[_Kept], row_id: int | None, version: int = 0
    ) -> _Kept | None:
        """Returns a target or a route as it is; None where a new one is meant."""
        if row_id is None:
            return None
        found = await asyncio.to_thread(self._found, kind, row_id)
        if found is None:
            raise NotFound(worded("there is no {what} {row}", what=_WHAT[kind], row=row_id))
        if version and found.version != version:
            raise Stale(
                worded(
                    "it was changed meanwhile: version {version}; look again", version=found.version
                )
            )
        return found

    def _found(self, kind: type[_Kept], row_id: int) -> _Kept | None:
        with reading(self._sources.registry) as session:
            return session.get(kind, row_id)

    def _put_target(
        self, actor: Actor, wish: TargetWish, target_id: int | None, made: str | None
    ) -> TargetRow:
        now = self._sources.clock()
        with self._named(wish.name) as session:
            row = session.get(DeliveryTarget, target_id) if target_id is not None else None
            if row is None:
                row = DeliveryTarget(kind=wish.config.kind, version=0, failures=0)
                session.add(row)
            row.name, row.enabled, row.config = wish.name, wish.enabled, _stored(wish.config)
            row.made_by, row.changed_at = actor.username, now
            row.version += 1
            session.flush()
            secret = wish.secret or made
            if secret:
                locked = sealed(self._vault, secret, row.id)
                row.wrapped_key, row.sealed_secret = locked.wrapped_key, locked.box
            return target_row(row, 0)

    def _put_route(self, wish: RouteWish, route_id: int | None) -> RouteRow:
        with self._named(wish.name) as session:
            row = session.get(DeliveryRoute, route_id) if route_id is not None else None
            if row is None:
                row = DeliveryRoute(version=0)
                session.add(row)
            row.name, row.target_id, row.enabled = wish.name, wish.target, wish.enabled
            row.policy = wish.policy.model_dump(mode="json")
            row.changed_at = self._sources.clock()
            row.version += 1
            session.flush()
            return route_row(row)

    def _make_test(self, target_id: int) -> int:
        now = self._sources.clock()
        with writing(self._sources.registry) as session:
            row = Delivery(
                message_id=str(uuid.uuid4()),
                target_id=target_id,
                kind="test",
                state=_TESTING,  # so that the job leaves it alone
                entries={"changes": []},
                made_at=now,
                due_at=now,
                attempts=0,
            )
            session.add(row)
        return row.id

    def _execute(self, statement: Delete) -> None:
        with writing(self._sources.registry) as session:
            session.execute(statement)

    @contextmanager
    def _named(self, name: str) -> Iterator[Session]:
        """Yields a session to write something of a name that is nobody else's.

        Raises:
            Invalid: it is somebody else's.
        """
        try:
            with writing(self._sources.registry) as session:
                yield session
        except IntegrityError:
            raise Invalid(worded("the name {name} is taken", name=name)) from None


def _may_change(actor: Actor) -> None:
    require(actor, Permission.ADMINISTER)
    require_everywhere(actor, "delivery of alerts")


def _stored(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json")
