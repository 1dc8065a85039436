"""How a person's change of an asset is made: rehearsed, audited, and then done.

The audit log keeps the names of the fields that change, never what a customer's say: it cannot be
erased, the history of assets can. A change that would fail leaves no audit row, because it is
rehearsed in a transaction that is taken back; one that changes nothing leaves none either.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.assets import errors as asset_errors
from hesper_cloud.assets.history import By, pending
from hesper_cloud.db.engines import writing
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Invalid, NotFound, Refused, Stale
from hesper_cloud.services.sources import Sources
from hesper_cloud.worded import told_by

T = TypeVar("T")
Work = Callable[[Session, By], T]
_LONGEST = 400  # of what the audit row says changed


class _Rehearsed(Exception):
    """Takes a rehearsal's transaction back."""


@contextmanager
def told() -> Iterator[None]:
    """Turns what forbids a change of an asset into the services' errors."""
    try:
        yield
    except asset_errors.WrongField as error:
        raise Invalid(told_by(error)) from None
    except asset_errors.Missing as error:
        raise NotFound(told_by(error)) from None
    except asset_errors.Outdated as error:
        raise Stale(told_by(error)) from None
    except asset_errors.AssetError as error:
        raise Refused(told_by(error)) from None


class AssetDesk:
    """Makes changes in the name of an actor."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._link = link

    async def make(
        self, actor: Actor, action: str, subject: str, work: Work[T], reason: str | None = None
    ) -> T:
        """Does ``work`` in one transaction, after its audit row; it is called twice.

        Raises:
            Invalid, NotFound, Refused, Stale: what the work says.
            Unavailable: the authority does not answer, so nothing is changed.
        """
        by = By(actor.username, self._sources.clock(), reason)
        changed = await asyncio.to_thread(self._rehearse, work, by)
        if changed:
            payload = {"action": action, "subject": subject, "after": changed}
            payload |= {"why": reason} if reason else {}
            await self._link.ask(actor, "audit.note", payload, f"{action}-{uuid.uuid4().hex}")
        return await asyncio.to_thread(self._do, work, by)

    async def rehearse(self, actor: Actor, work: Work[T], reason: str | None = None) -> None:
        """Finds out whether ``work`` would fail, and how; nothing is changed."""
        by = By(actor.username, self._sources.clock(), reason)
        await asyncio.to_thread(self._rehearse, work, by)

    def _rehearse(self, work: Work[T], by: By) -> str:
        """Returns the names of what would change, nothing where nothing would."""
        names: list[str] = []
        try:
            with told(), writing(self._sources.registry) as session:
                work(session, by)
                for change in pending(session):
                    names += [f"{change.kind} {change.asset}: {', '.join(change.after)}"]
                raise _Rehearsed
        except _Rehearsed:
            return "; ".join(names)[:_LONGEST]

    def _do(self, work: Work[T], by: By) -> T:
        with told(), writing(self._sources.registry) as session:
            return work(session, by)
