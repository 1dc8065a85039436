"""How what is kept is shown and written: its fields, its states and its changes in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hesper_ui.services import (
    AreaRow,
    ChangeRow,
    CustomerRow,
    ElementRow,
    GatewayCard,
    MeterCard,
    ModelRow,
    SimRow,
    TariffRow,
)
from hesper_ui.views.looks import Look
from hesper_ui.views.wording import MISSING
from hesper_ui.words import later, say

KeptKind = Literal["customer", "sim"]
CompanyKind = Literal["area", "model", "tariff", "element"]
FormKind = Literal["customer", "sim", "meter", "gateway", "area", "model", "tariff", "element"]
Kept = CustomerRow | SimRow
CompanyRow = AreaRow | ModelRow | TariffRow | ElementRow
Written = Kept | CompanyRow | MeterCard | GatewayCard

CUSTOMER_STATES = {"active": Look("normal", "active"), "inactive": Look("unknown", "inactive")}
SIM_STATES = {
    "stock": Look("unknown", "in stock"),
    "active": Look("normal", "active"),
    "suspended": Look("warning", "suspended"),
    "retired": Look("stopped", "retired"),
}
LIVES = {
    "planned": Look("unknown", "planned"),
    "stock": Look("unknown", "in stock"),
    "installed": Look("working", "installed, not commissioned"),
    "commissioned": Look("normal", "commissioned"),
    "removed": Look("stopped", "removed"),
}
GATEWAY_LIVES = {**LIVES, "installed": Look("normal", "installed")}
ACTIONS = {
    "create": later("added"),
    "update": later("changed"),
    "delete": later("deleted"),
    "restore": later("restored"),
    "install": later("installed"),
    "commission": later("commissioned"),
    "exchange": later("exchanged"),
    "remove": later("removed"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form: a line of text, a number, or one of a few words."""

    name: str
    label: str
    hint: str = ""  # beside the label of its line in a form
    is_number: bool = False
    is_decimal: bool = False
    options: tuple[str, ...] = ()

    def line(self) -> str:
        """Returns what its line in a form is called."""
        return f"{say(self.label)} ({say(self.hint)})" if self.hint else say(self.label)


_REQUIRED, _A_DAY = later("required"), later("like 2026-11-20")


ELEMENTS = {
    "area": later("area"),
    "feeder": later("feeder"),
    "transformer": later("transformer"),
}
_PLACE = (
    Field("latitude", later("Latitude"), is_decimal=True),
    Field("longitude", later("Longitude"), is_decimal=True),
)


def _fields(**labels: str) -> tuple[Field, ...]:
    return tuple(Field(name, label) for name, label in labels.items())


FIELDS: Mapping[FormKind, Sequence[Field]] = {
    "customer": (
        Field("name", later("Name"), _REQUIRED),
        Field("account_number", later("Account number"), _REQUIRED),
        *_fields(
            address=later("Address"),
            phone=later("Phone"),
            email=later("E-mail"),
            area=later("Area"),
            customer_type=later("Type of customer"),
            tariff=later("Tariff"),
        ),
        Field("connection_date", later("Connected on"), _A_DAY),
        Field("state", later("State"), options=tuple(CUSTOMER_STATES)),
    ),
    "sim": (
        Field("iccid", later("ICCID"), _REQUIRED),
        *_fields(
            number=later("Number of our own"),
            imsi=later("IMSI"),
            msisdn=later("MSISDN"),
            provider=later("Provider"),
            apn=later("APN"),
            ip_address=later("IP address"),
        ),
        Field("data_limit_mb", later("Data limit a month, MB"), is_number=True),
        Field("data_used_mb", later("Data used this month, MB"), is_number=True),
        Field("activation_date", later("Active since"), _A_DAY),
        *_fields(meter=later("In meter"), gateway=later("In gateway")),
        Field("state", later("State"), options=tuple(SIM_STATES)),
    ),
    "meter": (
        *_fields(
            account_number=later("Account number"),
            iccid=later("ICCID"),
            address=later("Address"),
            area=later("Area"),
            brand=later("Brand"),
            model=later("Model"),
            meter_type=later("Type"),
            ip_address=later("IP address"),
        ),
        Field("port", later("Port"), is_number=True),
    ),
    "gateway": (
        *_fields(address=later("Address"), area=later("Area")),
        *_PLACE,
    ),
    "area": (
        Field("name", later("Name"), _REQUIRED),
        *_fields(parent=later("Part of")),
        *_PLACE,
    ),
    "model": (
        Field("brand", later("Brand"), _REQUIRED),
        Field("model", later("Model"), _REQUIRED),
        *_fields(meter_type=later("Type"), template=later("Template")),
    ),
    "tariff": (
        Field("name", later("Name"), _REQUIRED),
        *_fields(description=later("Description")),
    ),
    "element": (
        Field("id", later("Number"), _REQUIRED),
        Field("kind", later("Kind"), options=tuple(ELEMENTS)),
        Field("name", later("Name"), _REQUIRED),
        *_fields(parent=later("Part of")),
    ),
}
KEYS: Mapping[CompanyKind, str] = {"area": "name", "model": "id", "tariff": "name", "element": "id"}
LABELS = {each.name: each.label for kind in FIELDS.values() for each in kind} | {
    "capture_period_s": later("Capture period, s"),
    "customer_id": later("Customer, by number"),
    "gateway_id": later("Gateway"),
    "life": later("Life"),
    "logical_device_name": later("Logical device"),
    "sim_id": later("SIM card, by number"),
}


def text_of(record: object | None, field: Field) -> str:
    """Returns what a field shows; nothing where there is no value."""
    value = getattr(record, field.name, None)
    return "" if value is None else str(value)


def written(field: Field, text: str) -> Any:
    """Returns what was written into a field as services take it; None where it is empty.

    What is no number is left as it is, for the service to say what is wrong.
    """
    kept = text.strip()
    if field.is_number and kept.isascii() and kept.isdecimal():
        return int(kept)
    if field.is_decimal and kept:
        try:
            return float(kept.replace(",", "."))
        except ValueError:
            return kept
    return kept or None


def key_of(record: Written) -> str | int:
    """Returns by what services know a record."""
    return record.name if isinstance(record, AreaRow | TariffRow) else record.id


def title_of(record: Written) -> str:
    """Returns what a record is called."""
    match record:
        case CustomerRow() | ElementRow() | AreaRow() | TariffRow():
            return record.name
        case ModelRow():
            return f"{record.brand} {record.model}"
        case SimRow():
            return record.iccid
    return record.id


def complete(fields: Sequence[Field], texts: Mapping[str, str]) -> bool:
    """Says whether every field that is required is filled in."""
    return all(texts[field.name].strip() for field in fields if field.hint == _REQUIRED)


def changes(fields: Sequence[Field], record: object | None, texts: Mapping[str, str]) -> Any:
    """Returns the fields that were written differently from what the record holds."""
    return {
        field.name: written(field, texts[field.name])
        for field in fields
        if texts[field.name].strip() != text_of(record, field)
    }


def state(record: Kept) -> Look:
    """Returns the look of a customer's or a card's state."""
    looks = SIM_STATES if isinstance(record, SimRow) else CUSTOMER_STATES
    return looks.get(record.state, Look("unknown", record.state))


def use_percent(card: SimRow) -> int | None:
    """Returns how much of a card's data is used, percent; None without limit or known use."""
    if not card.data_limit_mb or card.data_used_mb is None:
        return None
    return 100 * card.data_used_mb // card.data_limit_mb


def use_look(card: SimRow) -> Look:
    """Returns the look of a card's use: grey until it comes near its limit."""
    if not card.data_limit_mb:
        return Look("unknown", "no limit")
    percent = use_percent(card)
    if percent is None:
        return Look("unknown", say("use not known, of {limit} MB", limit=card.data_limit_mb))
    used = say("{used} of {limit} MB", used=card.data_used_mb, limit=card.data_limit_mb)
    return Look("critical" if percent >= 100 else "warning" if percent >= 80 else "normal", used)


def told(change: ChangeRow) -> list[str]:
    """Returns a change in words, one line a field."""
    lines = []
    for name, value in change.after.items():
        label = say(LABELS.get(name, name.replace("_", " ")))
        before = change.before.get(name)
        lines.append(f"{label}: {_shown(name, before)} → {_shown(name, value)}")
    return lines


def action(change: ChangeRow) -> str:
    """Returns what was done, in a word."""
    return say(ACTIONS.get(change.action, change.action))


def _shown(name: str, value: Any) -> str:
    if name in ("life", "state") and value in LIVES:
        return say(LIVES[value].word)
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    return MISSING if value is None else str(value)
