"""Answers by idempotency key: a request that is repeated is not carried out again.

A key belongs to an account, or to those of its tokens that may the same. The first request under it
claims it; its answer is kept for a day, and a repeat gets that answer. Another request under the
same key is an error of the caller's, and a repeat that comes while the first is being carried out
is told to come again. Of one that was cut off in the middle nobody knows what it did, so it is not
carried out again under its key: whoever asks is told to look. Of a request nothing is kept but an
HMAC of it: it may hold a password.
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, update

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import IdempotentAnswer
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.sources import Sources
from hesper_cloud.worded import worded

KEPT = timedelta(hours=24)
LONGEST_KEY = 128
_GIVEN_UP = timedelta(minutes=10)  # what a process that was killed had begun
_CUT_OFF = 0  # stands in the place of a status


@dataclass(frozen=True, slots=True)
class Kept:
    """What was answered; ``body`` is None where it was for one pair of eyes or too long to keep."""

    status: int
    headers: dict[str, str]
    body: bytes | None


class KeyInUse(Exception):
    """The first request under this key is still being carried out."""


class CutOff(Exception):
    """The first request under this key was cut off; whether it was carried out is not known."""


class OtherRequest(Exception):
    """This key was used for another request."""


class Idempotency:
    """Keeps answers in the registry database; every call is one short transaction."""

    def __init__(self, sources: Sources, secret: bytes) -> None:
        self._registry = sources.registry
        self._clock = sources.clock
        self._secret = hashlib.blake2b(b"idempotent requests", key=secret[:64]).digest()

    def digest(self, *parts: bytes) -> str:
        """Returns what is kept of a request."""
        told = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in parts:
            told.update(len(part).to_bytes(8, "big"))
            told.update(part)
        return told.hexdigest()

    def claim(self, actor: Actor, key: str, digest: str) -> Kept | None:
        """Claims a key for a request; returns the answer if there is one already.

        Raises:
            Invalid: it is no key.
            KeyInUse: come again.
            CutOff: look whether it was carried out.
            OtherRequest: the key belongs to another request.
        """
        if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
            raise Invalid(
                worded(
                    "an Idempotency-Key has 1 to {longest_key} printable ASCII characters",
                    longest_key=LONGEST_KEY,
                )
            )
        now = self._clock()
        with writing(self._registry) as session:
            old = IdempotentAnswer.created_at < now - KEPT
            session.execute(delete(IdempotentAnswer).where(old))
            row = session.get(IdempotentAnswer, (_owner(actor), key))
            if row is None:
                names = {"owner": _owner(actor), "key": key}
                session.add(IdempotentAnswer(**names, request=digest, created_at=now))
                return None
            if not hmac.compare_digest(row.request, digest):
                raise OtherRequest
            if row.status is None and row.created_at > now - _GIVEN_UP:
                raise KeyInUse
            if row.status is None or row.status == _CUT_OFF:
                raise CutOff
            return Kept(row.status, row.headers, row.body)

    def keep(self, actor: Actor, key: str, answer: Kept) -> None:
        """Keeps the answer to the request that claimed a key."""
        values = {"status": answer.status, "headers": answer.headers, "body": answer.body}
        with writing(self._registry) as session:
            session.execute(update(IdempotentAnswer).where(*_of(actor, key)).values(**values))

    def leave(self, actor: Actor, key: str) -> None:
        """Notes that the request which claimed a key was cut off."""
        self.keep(actor, key, Kept(_CUT_OFF, {}, None))

    def release(self, actor: Actor, key: str) -> None:
        """Gives a key back: its request came to nothing."""
        with writing(self._registry) as session:
            session.execute(delete(IdempotentAnswer).where(*_of(actor, key)))


def _of(actor: Actor, key: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return IdempotentAnswer.owner == _owner(actor), IdempotentAnswer.key == key


def _owner(actor: Actor) -> str:
    """Returns whose a key is: an account's, and of tokens that may less those that may the same."""
    if actor.areas is None and actor.scopes is None:
        return actor.username
    scopes = None if actor.scopes is None else sorted(actor.scopes)
    rights = repr((actor.areas, scopes)).encode()
    return f"{actor.username} {hashlib.blake2b(rights, digest_size=12).hexdigest()}"
