"""Browser sessions that are open: one's own, and for admins everybody's."""

import asyncio

from sqlalchemy import delete, select

from hesper_cloud.accounts import tokens
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.authority import User
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import WebSession
from hesper_cloud.services.account_records import SessionRow
from hesper_cloud.services.accounts import Accounts
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.scope import require_everywhere
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

_ID_LENGTH = 16
SessionRows = list[SessionRow]


class Sessions:
    """Lists sessions and ends them; ending one is audited before it takes effect."""

    def __init__(self, sources: Sources, link: AuthorityLink, accounts: Accounts) -> None:
        self._sources = sources
        self._link = link
        self._accounts = accounts

    async def list(self, actor: Actor, token: str = "", *, of_all: bool = False) -> SessionRows:
        """Returns open sessions, newest first; ``token`` is that by which the asker speaks."""
        if of_all:
            require(actor, Permission.READ_ACCOUNTS)
            require_everywhere(actor, "the list of sessions")
        rows = await asyncio.to_thread(self._rows, tokens.digest(token) if token else "")
        return [row for row in rows if of_all or row.username == actor.username]

    async def end(self, actor: Actor, session_id: str) -> None:
        """Ends a session, one's own or as an admin any, with every page that is open in it.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        rows = await asyncio.to_thread(self._rows, "")
        for row in rows:
            is_own = row.username == actor.username
            if row.id == session_id and (is_own or actor.may(Permission.ADMINISTER)):
                break
        else:
            raise NotFound(worded("there is no session {session}", session=session_id))
        subject = f"{row.username} session {row.id}"
        note = (actor.username, "session.end", subject, f"opened from {row.source}")
        await asyncio.to_thread(self._link.leave_note, *note)
        await asyncio.to_thread(self._end, session_id)
        self._accounts.forget()

    def _rows(self, this: str) -> SessionRows:
        now = self._sources.clock()
        query = select(WebSession).where(WebSession.lasts(now))
        with reading(self._sources.registry) as session:
            rows = session.scalars(query.order_by(WebSession.created_at.desc())).all()
        with reading(self._sources.authority) as session:
            users = {user.username: user for user in session.scalars(select(User))}
        return [
            SessionRow(
                id=row.token_digest[:_ID_LENGTH],
                username=row.username,
                created_at=row.created_at,
                expires_at=row.expires_at,
                source=row.source,
                agent=row.agent,
                method=row.method,
                is_this=row.token_digest == this,
            )
            for row in rows
            if _is_good(users.get(row.username), row)
        ]

    def _end(self, session_id: str) -> None:
        known = WebSession.token_digest.startswith(session_id, autoescape=True)
        with writing(self._sources.registry) as session:
            session.execute(delete(WebSession).where(known))


def _is_good(user: User | None, row: WebSession) -> bool:
    return user is not None and not user.disabled and user.token_version == row.token_version
