"""Tables of rules as data, what they remember, and the outages that power-loss events make."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase

GONE = "given up"
"""In place of a proof: nobody will hear whether the meter has power again."""


class Rule(RegistryBase):
    """One rule as it stands; what it says is in its newest version."""

    __tablename__ = "rules"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(8))  # off | trial | on
    version: Mapped[int]
    updated_at: Mapped[datetime]
    updated_by: Mapped[str] = mapped_column(String(128))


class RuleVersion(RegistryBase):
    """One version of what a rule says; never changed once it is written."""

    __tablename__ = "rule_versions"

    rule: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    definition: Mapped[dict[str, Any]]
    made_at: Mapped[datetime]
    made_by: Mapped[str] = mapped_column(String(128))
    note: Mapped[str] = mapped_column(Text, default="")


class RuleMemory(RegistryBase):
    """What a rule remembers of one subject; those of which there is nothing to say have no row."""

    __tablename__ = "rule_memories"
    __table_args__ = (Index(None, "rule", "phase"),)

    rule: Mapped[str] = mapped_column(String(64), primary_key=True)
    subject: Mapped[str] = mapped_column(String(80), primary_key=True)  # a meter, or kind:name
    phase: Mapped[str] = mapped_column(String(8))  # waiting | raised
    since: Mapped[datetime]  # when the condition began
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)


class RuleTrial(RegistryBase):
    """One alert that a rule on trial would have raised."""

    __tablename__ = "rule_trials"
    __table_args__ = (Index(None, "rule", "raised_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    rule: Mapped[str] = mapped_column(String(64))
    version: Mapped[int]
    subject: Mapped[str] = mapped_column(String(80))
    raised_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
    text: Mapped[str] = mapped_column(Text)


class Outage(RegistryBase):
    """Meters that lost power together, and the part of the grid that they have in common."""

    __tablename__ = "outages"
    __table_args__ = (Index(None, "state", "began_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))  # area | feeder | transformer | gateway | meter
    place: Mapped[str] = mapped_column(
        String(64), index=True
    )  # the element's, gateway's, meter's id
    name: Mapped[str] = mapped_column(Text)
    area: Mapped[str | None] = mapped_column(String(64), index=True)  # where all its meters are
    state: Mapped[str] = mapped_column(String(16))  # open | restored | merged
    began_at: Mapped[datetime] = mapped_column(index=True)
    noticed_at: Mapped[datetime]
    restored_at: Mapped[datetime | None]  # when the last meter had power again
    merged_into: Mapped[int | None]  # the outage of a larger part
    lost_count: Mapped[int]  # meters that lost power
    back_count: Mapped[int]  # of those, with power again
    customer_count: Mapped[int]  # estimated: who are without power, or were at the worst
    updated_at: Mapped[datetime]


class PowerLoss(RegistryBase):
    """One meter without power, from its last words to the proof that it has power again."""

    __tablename__ = "power_losses"
    __table_args__ = (
        UniqueConstraint("meter", "lost_at"),
        Index(None, "outage", "meter"),
        Index(None, "settled", "lost_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    meter: Mapped[str] = mapped_column(String(32))
    lost_at: Mapped[datetime]
    back_at: Mapped[datetime | None]
    proof: Mapped[str | None] = mapped_column(String(16))  # event | reading | given up
    outage: Mapped[int | None]
    settled: Mapped[bool] = mapped_column(default=False)  # belongs to an outage, and has power
