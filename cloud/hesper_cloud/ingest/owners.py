"""Which gateway a meter belongs to, and what becomes of its readings from another one.

The broker lets a gateway write below its own name alone, but the meters in a batch are whatever it
says. So rows of a meter that the registry puts behind another gateway are kept apart
(`hesper_cloud.stores.apart`), and an alert is raised: a meter that was moved without telling the
head end looks the same as a gateway that plants readings. Events raise it, too (`events_in`). A
meter that nobody commissioned belongs to the gateway that brought it first. Who moves a meter
commissions it anew behind the other gateway: what was kept apart is taken over then (`adoption`),
and the next readings from there clear the alert. Another one goes a day after it was acknowledged,
and comes again where the gateway goes on. Of meters that are not commissioned behind it a gateway
may name so many and no more (`names`).
"""

import logging
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
from hesper_contracts.events import Event
from sqlalchemy import ColumnElement, Engine, not_, or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from hesper_cloud.alerting.changes import is_open
from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.alerting import Alert
from hesper_cloud.db.engines import PER_QUERY, reading
from hesper_cloud.db.listed import listed
from hesper_cloud.db.registry import Meter
from hesper_cloud.giving_way import Seldom
from hesper_cloud.ingest import kept_apart
from hesper_cloud.ingest.names import Names, TooManyNames
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.rules.tamper import AREA
from hesper_cloud.settings import MOST_UNCOMMISSIONED
from hesper_cloud.stores.port import Block, Flags
from hesper_cloud.worded import worded

RULE = f"{AREA}foreign_gateway"
BEYOND_RULE = f"{AREA}too_many_meters"
log = logging.getLogger(__name__)
_LOOK_AGAIN_S = 5.0
_LOOK_UP_S = 300.0


class Owners:
    """The registry's word on whose meters are whose, in memory; asked again in doubt.

    `flags` belongs to one thread, `flush` to another: names are entered and never taken away.
    """

    def __init__(
        self,
        engine: Engine,
        alerts: Alerts,
        monotonic: Callable[[], float] = time.monotonic,
        most_names: int = MOST_UNCOMMISSIONED,
    ) -> None:
        """Looks all up; of each sender ``most_names`` meters are taken that are not its own."""
        self._engine = engine
        self.names = Names(most_names, self._settled, monotonic)
        self._alerts = alerts
        self._monotonic = monotonic
        self._asked_at: dict[str, float] = {}
        self._seldom = Seldom(_LOOK_UP_S, monotonic)
        self._of: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()  # of a meter by a gateway, and still open
        self._look_up()

    def flush(self) -> None:
        """Looks up now and then whose meters are whose, also undoubted ones, and what is told."""
        self._seldom.turn(self._looked_up)

    def _looked_up(self) -> bool:
        try:
            self._look_up()
        except SQLAlchemyError as error:
            log.warning("whose meters are whose is not looked up now: %s", error)
        return False

    def _look_up(self) -> None:
        open_ = select(Alert.meter, Alert.gateway).where(Alert.rule == RULE, is_open())
        owned = select(Meter.id, Meter.gateway_id, _is_settled())
        with reading(self._engine) as session:
            self._told = {(str(meter), str(gateway)) for meter, gateway in session.execute(open_)}
            for some in session.execute(owned).partitions(PER_QUERY):
                for meter, owner, settled in some:
                    if owner:
                        self._of[meter] = sys.intern(owner)
                        self._count(owner, meter, settled=settled)
            foreign = kept_apart.noted(session)
        for each in foreign:
            if self._of.get(each.meter) != each.gateway:
                self.names.known(each.gateway, (each.meter,))

    def _count(self, owner: str, meter: str, *, settled: bool) -> None:
        if settled:
            self.names.commissioned(owner, meter)
        else:
            self.names.known(owner, (meter,))

    def _settled(self, gateway: str) -> list[str]:
        """Returns a gateway's meters that are commissioned, or out of service."""
        query = select(Meter.id).where(Meter.gateway_id == gateway, _is_settled())
        with reading(self._engine) as session:
            return list(session.scalars(query))

    def flags(self, came: Sequence[tuple[str, Block]]) -> list[Flags | None]:
        """Returns which rows of blocks are of meters that are not their gateways'.

        None stands for a block of which every meter is the gateway's. However many blocks and
        meters there are, the registry is asked once, and told once.

        Raises:
            TooManyNames: there is no room for some of the meters; the others are taken.
        """
        if self._is_plain(came):
            return [None] * len(came)
        beyond = self._learn(came)
        if not beyond and self._is_plain(came):
            return [None] * len(came)
        foreign = [[self._of.get(m, gateway) != gateway for m in b.meters] for gateway, b in came]
        self._ask_again(_chosen(came, foreign))
        found = [
            np.array([self._of.get(meter, gateway) != gateway for meter in b.meters], dtype=bool)
            for gateway, b in came
        ]
        self._admit(came, found, beyond)
        self._tell(came, found)
        return [
            each[b.meter_index] if each.any() else None
            for each, (_, b) in zip(found, came, strict=True)
        ]

    def _admit(
        self,
        came: Sequence[tuple[str, Block]],
        foreign: Sequence[Flags],
        beyond: defaultdict[str, set[str]],
    ) -> None:
        """Takes note of meters of other gateways, whose readings are kept apart."""
        kept = []
        for (gateway, block), mask in zip(came, foreign, strict=True):
            if mask.any():
                theirs = _chosen([(gateway, block)], [mask.tolist()])
                beyond[gateway] |= self.names.beyond(gateway, theirs)
                kept += [kept_apart.Kept(gateway, meter, block.profile) for meter in theirs]
        if over := {gateway: frozenset(meters) for gateway, meters in beyond.items() if meters}:
            raise TooManyNames(over, self.names.most)
        kept_apart.note(self._engine, kept)

    def _is_plain(self, came: Sequence[tuple[str, Block]]) -> bool:
        """Says, as fast as it can, whether each meter is known to be its gateway's."""
        return not self._told and all(
            {gateway}.issuperset(map(self._of.get, block.meters)) for gateway, block in came
        )

    def _ask_again(self, meters: list[str]) -> None:
        """Asks the registry, where somebody may have moved a meter since."""
        now = self._monotonic()
        due = [m for m in meters if now - self._asked_at.get(m, -_LOOK_AGAIN_S) >= _LOOK_AGAIN_S]
        self._asked_at.update(dict.fromkeys(due, now))
        if due:
            self.ask(due)

    def _learn(self, came: Sequence[tuple[str, Block]]) -> defaultdict[str, set[str]]:
        """Takes in meters that were not heard of: since the start somebody may have entered them.

        Those that the registry puts behind no gateway belong to the one that brings them first.
        Returns by gateway the meters for which there is no room.
        """
        beyond: defaultdict[str, set[str]] = defaultdict(set)
        fresh = {meter for _, block in came for meter in block.meters if meter not in self._of}
        if not fresh:
            return beyond
        settled = self.ask(fresh)
        for gateway, block in came:
            own = [m for m in block.meters if m in fresh and self._of.get(m, gateway) == gateway]
            over = self.names.beyond(gateway, [meter for meter in own if meter not in settled])
            if over:
                beyond[gateway] |= over
                own = [meter for meter in own if meter not in over]
            self._of.update(dict.fromkeys(own, gateway))
        return beyond

    def ask(self, meters: Iterable[str]) -> set[str]:
        """Asks the registry whose meters are; returns those that are commissioned."""
        settled: set[str] = set()
        query = select(Meter.id, Meter.gateway_id, _is_settled())
        with reading(self._engine) as session:
            found = session.execute(query.where(Meter.id.in_(listed(session, set(meters)))))
            for meter, owner, is_settled in found:
                if owner is not None:
                    self._of[meter] = owner
                if is_settled:
                    settled.add(meter)
        return settled

    def _tell(self, came: Sequence[tuple[str, Block]], foreign: Sequence[Flags]) -> None:
        """Raises alerts of meters that are foreign, and clears those of meters that were moved.

        They were moved to the gateway that the alert named. What could not be written is told with
        the next try.
        """
        told: set[tuple[str, str]] = set()
        over: set[tuple[str, str]] = set()
        for (gateway, block), mask in zip(came, foreign, strict=True):
            for meter, is_foreign in zip(block.meters, mask.tolist(), strict=True):
                if is_foreign != ((meter, gateway) in self._told):
                    (told if is_foreign else over).add((meter, gateway))
        now = datetime.now(UTC)
        self._alerts.settle(
            [self._telling(meter, gateway, now) for meter, gateway in sorted(told)],
            [(Subject(RULE, meter=meter, gateway=gateway), now) for meter, gateway in sorted(over)],
        )
        self._told = (self._told | told) - over

    def _telling(self, meter: str, gateway: str, now: datetime) -> Telling:
        text = worded(
            "Gateway {gateway} sends readings of meter {meter}, which is behind {other}: "
            "moved, or planted.",
            gateway=gateway,
            meter=meter,
            other=self._of[meter],
        )
        return Telling(Subject(RULE, meter=meter, gateway=gateway), "critical", text, now)

    def foreign_stored(self, session: Session, gateway: str, event: Event) -> None:
        """Alarms: a gateway tells events of a meter that is behind another one."""
        if event.meter is None:
            return
        text = worded(
            "Gateway {gateway} tells events of meter {meter}, which is behind {other}: "
            "moved, or planted.",
            gateway=gateway,
            meter=event.meter,
            other=session.get_one(Meter, event.meter).gateway_id,
        )
        subject = Subject(RULE, meter=event.meter, gateway=gateway)
        self._alerts.raise_(subject, "critical", text, session=session)

    def beyond_stored(self, session: Session, gateway: str, event: Event) -> None:
        """Alarms: a gateway tells events of more meters than it may name."""
        text = worded(
            "Gateway {gateway} tells events of more than {most} meters that are not commissioned "
            "behind it, among them {meter}: nothing is concluded from what is beyond.",
            gateway=gateway,
            most=self.names.most,
            meter=event.meter,
        )
        self._alerts.raise_(
            Subject(BEYOND_RULE, gateway=gateway), "critical", text, session=session
        )


def _is_settled() -> ColumnElement[bool]:
    """Returns the condition that a person commissioned a meter, or that it is out of service."""
    return or_(Meter.state == "commissioned", not_(in_service()))


def _chosen(came: Sequence[tuple[str, Block]], masks: Sequence[Sequence[bool]]) -> list[str]:
    """Returns the meters of blocks that masks choose."""
    return [
        meter
        for (_, block), mask in zip(came, masks, strict=True)
        for meter, is_chosen in zip(block.meters, mask, strict=True)
        if is_chosen
    ]
