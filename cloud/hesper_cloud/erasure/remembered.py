"""What was erased is remembered beside the backups, so that a restore orders it again.

A backup brings back what was erased since it was made, and so do the gateways that are asked
afterwards to send again. So the head end keeps a list in the folder of its backups: of meters the
time that was erased, of persons the number of their empty record. ``hesper-cloud restore`` orders
again what was ordered after the backup was made, never of a time after that order: what a meter has
measured since is another's. While gateways are asked for what they still hold, the orders stand
again as often as something of theirs has come in.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import msgspec
from hesper_contracts import durable
from sqlalchemy import Engine, select

from hesper_cloud.assets.history import ERASED
from hesper_cloud.backup.sending_again import GIVE_UP_AFTER, days_with
from hesper_cloud.db.assets import Customer
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Erasure, Event
from hesper_cloud.erasure import ordering, persons
from hesper_cloud.erasure.rows import Extent
from hesper_cloud.provision import Databases, ProvisioningError, note
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.port import StoreUnavailable

LIST = "erased.json"
NOTE = "erased-again.json"
WHY = "it was erased after the backup that was restored"


class OfMeter(msgspec.Struct, frozen=True, tag="meter"):
    """What a meter measured was erased, from ``since`` (None: the beginning) to ``until``."""

    meter: str
    since: datetime | None
    until: datetime
    household: bool
    ordered_at: datetime


class OfPerson(msgspec.Struct, frozen=True, tag="person"):
    """A customer's record was emptied, and that seen at ``ordered_at``."""

    customer: int
    deleted_at: datetime
    ordered_at: datetime


Erased = OfMeter | OfPerson


class Again(msgspec.Struct, frozen=True):
    """What a restore has ordered again: orders by number, persons, meters that are not there."""

    restored_at: datetime
    orders: list[int]
    persons: list[int]
    absent: list[str]
    days: list[str] = []  # on which it was worked on since


def read(path: Path) -> list[Erased]:
    """Reads a list.

    Raises:
        FileNotFoundError: there is none.
        ProvisioningError: it is damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Erased])
    except msgspec.MsgspecError as error:
        raise ProvisioningError(f"{path} is no list of erasures: {error}") from error


class Remembering:
    """Keeps the list; what it has is never taken out again."""

    def __init__(
        self, registry: Engine, folder: Path | None, clock: Callable[[], datetime]
    ) -> None:
        self._registry = registry
        self._folder = folder
        self._clock = clock

    def turn(self) -> None:
        """Adds what is new, once there is a folder of backups.

        Raises:
            StoreUnavailable: the list cannot be read or written.
        """
        if self._folder is None or not self._folder.is_dir():
            return
        path = self._folder / LIST
        try:
            known = read(path) if path.exists() else []
            if fresh := [*self._meters(known), *self._persons(known)]:
                _write(path, [*known, *fresh])
        except (OSError, ProvisioningError) as error:
            raise StoreUnavailable(f"erasures are not remembered for a restore: {error}") from error

    def _meters(self, known: Iterable[Erased]) -> list[OfMeter]:
        there = set(known)
        return [each for each in _orders(self._registry) if each not in there]

    def _persons(self, known: Iterable[Erased]) -> list[OfPerson]:
        there = {(each.customer, each.deleted_at) for each in known if isinstance(each, OfPerson)}
        query = select(Customer).where(Customer.account_number.startswith(f"{ERASED} "))
        with reading(self._registry) as session:
            rows = session.scalars(query).all()
        erased = [(row.id, row.deleted_at) for row in rows if row.deleted_at is not None]
        return [OfPerson(*each, self._clock()) for each in erased if each not in there]


def _orders(registry: Engine) -> list[OfMeter]:
    """Returns the orders of meters that a registry knows, oldest first."""
    with reading(registry) as session:
        orders = session.scalars(select(Erasure).order_by(Erasure.id)).all()
    return [
        OfMeter(
            meter=order.meter,
            since=order.from_at,
            until=min(order.to_at or order.ordered_at, order.ordered_at),
            household=order.forget_customer,
            ordered_at=order.ordered_at,
        )
        for order in orders
    ]


def order_again(
    databases: Databases, state: Path, erased: Iterable[Erased], made_at: datetime, now: datetime
) -> Again:
    """Orders again what was ordered after the backup of `made_at` was made; each is audited.

    So is an order that was given when the backup began, and that its registry does not hold.
    """
    again, held = Again(now, [], [], []), set(_orders(databases.registry))
    for each in erased:
        if each.ordered_at <= made_at and (isinstance(each, OfPerson) or each in held):
            continue
        if isinstance(each, OfPerson):
            if _forgotten(databases, state, each.customer, now):
                again.persons.append(each.customer)
            continue
        span = (each.since, each.until)
        try:
            order = ordering.order(
                *(databases, each.meter, WHY, now, span), forget_customer=each.household
            )
        except ProvisioningError:
            again.absent.append(each.meter)
        else:
            again.orders.append(order)
    return again


def _forgotten(databases: Databases, state: Path, number: int, now: datetime) -> bool:
    """Empties a customer's record; says whether there was one to empty."""
    with reading(databases.registry) as session:
        row = session.get(Customer, number)
    if row is None or row.account_number.startswith(f"{ERASED} "):
        return False
    with writing(databases.authority) as session:
        note(session, persons.ACTION, f"customer {number}", None, "erased: the record", WHY)
    persons.forget(databases.registry, state, row, (), now)
    return True


def leave_note(state: Path, again: Again) -> None:
    """Leaves word for `AfterRestore`."""
    _write(state / NOTE, again)


class AfterRestore:
    """Makes orders of a restore stand again when something of theirs has come in."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._note = sources.settings.state / NOTE

    def turn(self) -> None:
        """Looks at each order that was carried out, while gateways are asked to send again."""
        if not self._note.exists():
            return
        again = msgspec.json.decode(self._note.read_bytes(), type=Again)
        days = days_with(again.days, self._sources.clock())
        if len(days) > GIVE_UP_AFTER:
            self._note.unlink()
            return
        if days != again.days:
            _write(self._note, msgspec.structs.replace(again, days=days))
        done = select(Erasure).where(Erasure.id.in_(again.orders), Erasure.finished_at.is_not(None))
        with reading(self._sources.registry) as session:
            orders = session.scalars(done).all()
        for order in orders:
            if self._is_there(Extent.of(order)):
                self._stand(order.id)

    def _is_there(self, extent: Extent) -> bool:
        if self._sources.store.readings(extent.meter, None, *extent.bounds, 1):
            return True
        of_meter = (Event.meter == extent.meter, *extent.terms(Event.occurred_at))
        with reading(self._sources.registry) as session:
            return session.scalar(select(Event.id).where(*of_meter).limit(1)) is not None

    def _stand(self, order_id: int) -> None:
        """Has an order carried out once more; who lives there now is left alone."""
        with writing(self._sources.registry) as session:
            row = session.get_one(Erasure, order_id)
            row.passes, row.finished_at, row.forget_customer = 0, None, False


def _write(path: Path, what: object) -> None:
    durable.put(path, msgspec.json.format(msgspec.json.encode(what), indent=1) + b"\n")
