"""The rules that are on or on trial, as the engine and the rounds need them."""

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy import not_, select
from sqlalchemy.orm import Session

from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.registry import Meter
from hesper_cloud.db.rules import Rule, RuleMemory, RuleVersion
from hesper_cloud.rules import scopes
from hesper_cloud.rules.definition import BuiltIn, Definition, State
from hesper_cloud.rules.levels import Mark

log = logging.getLogger(__name__)
RAISED, WAITING = "raised", "waiting"


@dataclass(slots=True)
class Running:
    """One rule at work; its marks are those of the version that they were made under."""

    id: str
    version: int
    state: State
    definition: Definition
    members: Collection[str] | None  # None: every meter
    marks: dict[str, Mark] = field(default_factory=dict)
    unused: Collection[str] = frozenset()  # meters that are not in service

    @property
    def is_trial(self) -> bool:
        """Whether it raises nothing and only notes what it would have raised."""
        return self.state == "trial"

    def is_for(self, meter: str) -> bool:
        """Says whether a meter is in the rule's scope, and in service."""
        return meter not in self.unused and (self.members is None or meter in self.members)


def stamp(session: Session) -> frozenset[tuple[str, int, str]]:
    """Returns what changes whenever any rule does."""
    return frozenset(session.execute(select(Rule.id, Rule.version, Rule.state)))


def load(session: Session, now: datetime) -> list[Running]:
    """Returns the rules that are not off and no code, with what they remember.

    One whose definition is not understood (written by a newer version) is left out and logged.
    """
    query = (
        select(Rule, RuleVersion.definition)
        .join(RuleVersion, (RuleVersion.rule == Rule.id) & (RuleVersion.version == Rule.version))
        .where(Rule.state != "off")
        .order_by(Rule.id)
    )
    found = []
    unused = frozenset(session.scalars(select(Meter.id).where(not_(in_service()))))
    for rule, said in session.execute(query):
        try:
            definition = Definition.model_validate(said)
        except ValidationError as error:
            log.warning("rule %s is left out, its definition is not understood: %s", rule.id, error)
            continue
        if isinstance(definition.condition, BuiltIn):
            continue
        members = scopes.members(session, definition.scope, now)
        state: State = "trial" if rule.state == "trial" else "on"
        marks = remembered(session, rule.id)
        found.append(Running(rule.id, rule.version, state, definition, members, marks, unused))
    return found


def remembered(session: Session, rule: str) -> dict[str, Mark]:
    """Returns the marks of a rule by subject."""
    query = select(RuleMemory.subject, RuleMemory.since, RuleMemory.phase).where(
        RuleMemory.rule == rule
    )
    return {
        subject: Mark(int(since.timestamp()), phase == RAISED)
        for subject, since, phase in session.execute(query)
    }


def utc(epoch_s: int) -> datetime:
    """Returns epoch seconds as an aware UTC time."""
    return datetime.fromtimestamp(epoch_s, UTC)
