"""What was found, as `[[meters]]` for gateway.toml: a person completes it with keys."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from hesper_gateway.config import LineConfig, MeterConfig
from hesper_gateway.discovery.search import Found
from hesper_gateway.errors import ConfigError
from hesper_gateway.templates import MeterTemplate
from hesper_gateway.templates.addresses import address_of
from hesper_gateway.templates.writing import toml

_GENERIC = {"hdlc": "generic-hdlc", "wrapper": "generic-wrapper"}


def fitting(found: Found, known: Iterable[MeterTemplate]) -> str:
    """Return the template that fits best: by name and link, else the generic one of the link.

    Args:
        found: Somebody who answers.
        known: The templates there are.
    """
    names = [found.answer.name, found.identification.upper()]
    mode_e = found.setting.mode_e_address is not None
    fits = [
        (max(map(len, template.recognised_by)), template.name)
        for template in known
        if template.link.kind == found.place.link
        and template.link.mode_e == mode_e
        and any(name.startswith(template.recognised_by) for name in names if name)
    ]
    if not fits:
        return _GENERIC[found.place.link]
    longest = max(length for length, _ in fits)
    return min(name for length, name in fits if length == longest)


def configured_as(
    found: Found,
    line: LineConfig,
    meters: Iterable[MeterConfig],
    known: Sequence[MeterTemplate],
) -> str | None:
    """Return the id of the meter in gateway.toml that this is; None when it is new.

    Its name tells, and its place only where one of both names is not known: another meter may have
    been put where a known one was.
    """
    name, at_place = found.answer.name, None
    for meter in meters:
        if name and meter.logical_device_name == name:
            return meter.id
        if _is_at(meter, found, line, known) and not (name and meter.logical_device_name):
            at_place = at_place or meter.id
    return at_place


def _is_at(
    meter: MeterConfig, found: Found, line: LineConfig, known: Sequence[MeterTemplate]
) -> bool:
    return meter.line == line.name and _addresses(meter, known) == (
        found.place.server,
        found.place.physical,
    )


def _addresses(meter: MeterConfig, known: Sequence[MeterTemplate]) -> tuple[int | None, int | None]:
    """Return where a meter is read; of a template that cannot be used, what gateway.toml says."""
    for template in known:
        if template.name == meter.template:
            with suppress(ConfigError):
                server, physical = (
                    address_of(meter, template, which) for which in ("server", "physical")
                )
                return server, physical
    return meter.server_address, meter.physical_address


def proposal(
    found: Sequence[Found],
    line: LineConfig,
    known: Sequence[MeterTemplate],
    meters: Sequence[MeterConfig],
) -> str:
    """Return the tables of meters that are new, each with what is still missing.

    Args:
        found: Those who are new.
        line: Where they answer.
        known: The templates there are.
        meters: Of gateway.toml, one of which may stand there for a meter that is gone.
    """
    return "\n".join(_table(each, line, known, meters) for each in found)


def _table(
    found: Found,
    line: LineConfig,
    known: Sequence[MeterTemplate],
    meters: Sequence[MeterConfig],
) -> str:
    place, answer = found.place, found.answer
    template = fitting(found, known)
    entries: dict[str, Any] = {"id": _id(found), "line": line.name, "template": template}
    if answer.name:
        entries["logical_device_name"] = answer.name
    entries["server_address"] = place.server
    if place.physical is not None:
        entries["physical_address"] = place.physical
    if found.setting.mode_e_address:
        entries["mode_e_address"] = found.setting.mode_e_address
    lines = ["[[meters]]", toml(entries).rstrip(), f'# keys_file = "keys/{_id(found)}.json"']
    verified = {each.name: each.verified for each in known}
    lines += [f"# {note}" for note in _notes(found, line, template)]
    if verified.get(template, "unverified") == "unverified":
        lines.append(f"# Template {template} is unverified.")
    lines += [
        f"# gateway.toml has {meter.id}, {meter.logical_device_name}, there: was it exchanged?"
        for meter in meters
        if _is_at(meter, found, line, known)
    ]
    return "\n".join(lines) + "\n"


def _notes(found: Found, line: LineConfig, template: str) -> list[str]:
    answer, notes = found.answer, []
    if not answer.name:
        notes.append("It keeps its name to itself: add logical_device_name from its plate.")
    speed, usual = found.setting.baudrate, getattr(line, "baudrate", None)
    if speed is not None and speed != usual:
        notes.append(f"It answers at {speed} baud; line {line.name} is set to {usual}.")
    if found.place.address_octets:
        notes.append(f"Its template needs link.address_octets = {found.place.address_octets}.")
    if template in _GENERIC.values():
        notes.append("No template knows this kind: write one with hesper-gateway template learn.")
    return notes


def _id(found: Found) -> str:
    """Return an id that gateway.toml takes: the serial number, the name, or else the place."""
    place = found.place
    for said in (found.answer.serial_number, found.answer.name):
        kept = "".join(each for each in said if each.isascii() and (each.isalnum() or each in "-_"))
        if kept:
            return kept
    at = place.server if place.physical is None else place.physical
    return f"unnamed-{at}"
