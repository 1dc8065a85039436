"""Rules that are code, in the same list as those that are data, with the thresholds they have.

What can be edited here takes effect within seconds. Thresholds that other parts share are set in
``cloud.toml`` and are only shown: how long a meter may be silent also decides what lists call
online.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hesper_contracts.events import Severity
from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.rules import Rule, RuleVersion
from hesper_cloud.settings import RuleSettings

VOLTAGE = "voltage"


class Threshold(NamedTuple):
    """One number of a built-in rule; ``least`` and ``most`` bound what a person may set."""

    name: str
    unit: str
    default: int
    least: int = 1
    most: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class BuiltInRule:
    """One rule that is code."""

    id: str
    title: str
    severity: Severity
    text: str
    thresholds: tuple[Threshold, ...] = ()
    set_in: str = ""  # where its thresholds are set, if not here
    can_be_off: bool = False

    @property
    def is_editable(self) -> bool:
        """Whether its thresholds are edited here."""
        return bool(self.thresholds) and not self.set_in


class Wanted(NamedTuple):
    """How a built-in rule is set now."""

    is_on: bool
    thresholds: Mapping[str, int]
    version: int = 0


_OFFLINE = BuiltInRule(
    "gateway-offline", "Gateway offline", "critical", "A gateway's connection is gone."
)
_OTHERS = (
    BuiltInRule(
        "gateway-disk-full",
        "Disk of a gateway full",
        "critical",
        "A gateway has no room to store what it reads.",
    ),
    BuiltInRule(
        "gateway-disk-failing",
        "Disk of a gateway fails",
        "critical",
        "The disk of a gateway is read-only or broken: it stores nothing.",
    ),
    BuiltInRule(
        "gateway-clock-off",
        "Clock of a gateway wrong",
        "warning",
        "A gateway's clock is a minute or more off the authority's signed time.",
    ),
    BuiltInRule(
        "tamper",
        "Tamper",
        "critical",
        "A meter tells that a cover was opened, of a magnetic field, or of false credentials.",
    ),
    BuiltInRule(
        "reverse-energy",
        "Energy runs backwards",
        "critical",
        "Export grows where nobody feeds in, or the import register runs backwards.",
    ),
    BuiltInRule(
        "reconnected-without-command",
        "Reconnected without a command",
        "critical",
        "A supply that was cut is found connected without a command or a press of the button.",
        (Threshold("excuses_within_s", "s", 900, 0, 7 * 86_400),),
        can_be_off=True,
    ),
    BuiltInRule(
        "use-on-inactive-account",
        "Use on an inactive account",
        "critical",
        "The register grows though the account is inactive or the meter is not in service.",
        (Threshold("used_wh", "Wh", 1000),),
        can_be_off=True,
    ),
    BuiltInRule(
        "outage", "Outage", "critical", "Meters that lost power together, with the extent."
    ),
    BuiltInRule(
        "certificate-renewal",
        "Certificate late",
        "warning",
        "A gateway does not renew its own.",
    ),
    BuiltInRule(
        "certificate-ends", "Certificate ends", "warning", "One that people renew ends soon."
    ),
    BuiltInRule("certificate-ended", "Certificate over", "critical", "One was not renewed."),
    BuiltInRule("batch-digest", "Batch contradicts itself", "critical", "Damage or forgery."),
    BuiltInRule("store-damaged", "Store damaged", "critical", "Readings of some days are lost."),
    BuiltInRule("store-away", "Store away", "critical", "The store of readings takes nothing."),
    BuiltInRule(
        "broker-lost", "Broker lost", "critical", "The head end does not reach its broker."
    ),
    BuiltInRule(
        "consumer-lost",
        "Consumer lost",
        "warning",
        "One of several consumers does not run, or does not reach broker or registry.",
    ),
)


def rules(settings: RuleSettings) -> dict[str, BuiltInRule]:
    """Returns the rules that are code, by id."""
    silent = BuiltInRule(
        "silent-meter",
        "Meter silent",
        "warning",
        "Nothing came from a meter for some capture periods, while its gateway was there.",
        (
            Threshold("silent_after_s", "s", settings.silent_after_s),
            Threshold("silent_after_periods", "", round(settings.silent_after_periods)),
        ),
        "cloud.toml, [rules]",
    )
    tolerance = settings.voltage_tolerance_percent
    voltage = BuiltInRule(
        VOLTAGE,
        "Voltage outside its band",
        "warning",
        "A phase is outside the nominal voltage and its tolerance (EN 50160, 4.2.2).",
        (
            Threshold("nominal_voltage_v", "V", settings.nominal_voltage_v, 50, 1000),
            Threshold("voltage_tolerance_percent", "%", tolerance, 2, 50),
        ),
        can_be_off=True,
    )
    return {each.id: each for each in (silent, _OFFLINE, voltage, *_OTHERS)}


def settings_of(session: Session, rule: str, settings: RuleSettings | None = None) -> Wanted:
    """Returns how a built-in rule is set now; its defaults where nobody changed it."""
    code = rules(settings or RuleSettings())[rule]
    usual = {each.name: each.default for each in code.thresholds}
    query = (
        select(Rule.state, Rule.version, RuleVersion.definition)
        .join(RuleVersion, (RuleVersion.rule == Rule.id) & (RuleVersion.version == Rule.version))
        .where(Rule.id == rule)
    )
    found = session.execute(query).one_or_none()
    if found is None:
        return Wanted(True, usual)
    state, version, definition = found
    said = definition["condition"].get("thresholds", {})
    now = usual | {name: int(said[name]) for name in said if name in usual}
    return Wanted(state == "on", now, version)


@dataclass(slots=True)
class VoltageBand:
    """The voltage rule's own thresholds, as they are set now; read by another thread."""

    settings: RuleSettings
    is_on: bool = True
    version: int = 0
    nominal_voltage_v: int = field(init=False)
    voltage_tolerance_percent: int = field(init=False)

    def __post_init__(self) -> None:
        self.nominal_voltage_v = self.settings.nominal_voltage_v
        self.voltage_tolerance_percent = self.settings.voltage_tolerance_percent

    def refresh(self, session: Session) -> None:
        """Takes over what is set now."""
        wanted = settings_of(session, VOLTAGE, self.settings)
        self.is_on, self.version = wanted.is_on, wanted.version
        self.nominal_voltage_v = wanted.thresholds["nominal_voltage_v"]
        self.voltage_tolerance_percent = wanted.thresholds["voltage_tolerance_percent"]
