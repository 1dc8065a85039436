"""Which of the messages that were set aside are one meter's.

A letter whose readings can be taken apart, and are this meter's alone, is the meter's own. One that
names it beside others, or holds its serial number as text, is only told: it is other people's too,
or nobody can say what it is.
"""

import logging
from dataclasses import dataclass

from hesper_contracts.frame import Kind, Refused
from hesper_contracts.topics import Address, Topics
from sqlalchemy import Engine, select

from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import DeadLetter
from hesper_cloud.ingest.decode import decode
from hesper_cloud.ingest.message import Delivery, Message

log = logging.getLogger(__name__)

_AT_ONCE = 20  # up to 4 MiB each
_NO_DELIVERY = Delivery(-1, 0, 0)


@dataclass(frozen=True, slots=True)
class Letters:
    """Numbers of dead letters: a meter's own, and those that merely name it."""

    own: list[int]
    naming: list[int]


def letters_of(engine: Engine, topics: Topics, meter: str) -> Letters:
    """Looks through all letters."""
    found = Letters([], [])
    with reading(engine) as session:
        numbers = session.scalars(select(DeadLetter.id).order_by(DeadLetter.id)).all()
    for start in range(0, len(numbers), _AT_ONCE):
        with reading(engine) as session:
            some = DeadLetter.id.in_(numbers[start : start + _AT_ONCE])
            query = select(DeadLetter).where(some)
            letters = session.scalars(query.order_by(DeadLetter.id)).all()
        for letter in letters:
            meters = _meters(letter, topics)
            if meters == {meter}:
                found.own.append(letter.id)
            elif meter in meters or meter.encode() in letter.payload:
                found.naming.append(letter.id)
    return found


def _meters(letter: DeadLetter, topics: Topics) -> set[str]:
    """Returns whose readings a letter holds; none where it cannot be taken apart."""
    address = topics.parse(letter.topic)
    if not isinstance(address, Address) or address.kind is not Kind.READINGS:
        return set()
    at = letter.received_at.timestamp()
    message = Message(
        letter.topic, address.gateway, address.kind, letter.payload, _NO_DELIVERY, 0.0, at
    )
    try:
        return {meter for block in decode(message).blocks for meter in block.meters}
    except Refused:
        return set()
    except Exception:  # what set the letter aside may be a fault of ours, and is no reason to stop
        log.exception("dead letter %d cannot be taken apart", letter.id)
        return set()
