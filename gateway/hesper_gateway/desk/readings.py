"""`--template`: what the values of a push mean, by a meter template's push layout."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from hesper_dlms import obis
from hesper_dlms.apdu import DataNotification
from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.oneshot import PushedMessage
from hesper_dlms.push import PushedReading, PushedValue, read_push
from hesper_dlms.units import ScalerUnit, symbol

from hesper_gateway import templates
from hesper_gateway.desk.objects import plain_value, scaled
from hesper_gateway.errors import ConfigError
from hesper_gateway.pushed_rows import scaler_unit_in
from hesper_gateway.sessions.quantities import PLAIN_COUNT
from hesper_gateway.templates import MeterTemplate
from hesper_gateway.templates.model import PushTemplate, zone_named

_SUFFIX = ".toml"


class Readings(NamedTuple):
    """A template with a push part."""

    template: MeterTemplate
    push: PushTemplate

    @property
    def link(self) -> str:
        """What carries this meter's pushes."""
        return self.template.link.kind

    def of(self, message: PushedMessage) -> dict[str, object]:
        """Return what the template adds to a message in JSON; why nothing, where nothing."""
        notification = message.notification
        if not isinstance(notification, DataNotification):
            return {"readings": [], "readings_error": "no data-notification"}
        clock = self.template.clock
        try:
            reading = read_push(
                notification,
                self.push.layout,
                self.push.objects,
                zone=zone_named(clock.zone),
                wrong_sign=clock.wrong_sign,
            )
        except DecodeError as error:
            return {"readings": [], "readings_error": str(error)}
        return {**_when(reading), "readings": [self._shown(each) for each in reading.values]}

    def _shown(self, value: PushedValue) -> dict[str, object]:
        name = value.logical_name
        shown: dict[str, object] = {
            "object": None if name is None else obis.text(name),
            "attribute": value.attribute_id,
            "value": plain_value(value.value),
        }
        found = self._scaler_unit(value)
        if found is not None and isinstance(value.value, int):
            shown["scaler"], shown["unit"] = found.scaler, int(found.unit)
            shown["unit_symbol"] = symbol(found.unit)
            shown["scaled"] = scaled(value.value, found.scaler)
        return shown

    def _scaler_unit(self, value: PushedValue) -> ScalerUnit | None:
        if value.scaler_unit is not None or value.logical_name is None:
            return value.scaler_unit
        found = scaler_unit_in(self.push, value.logical_name)
        return None if found is PLAIN_COUNT or isinstance(value.value, bool) else found


def readings_by(name: str) -> Readings:
    """Return the template of a name, or of a TOML file when the name is a path.

    Raises:
        LocalError: There is none, it does not fit its form, or it has no push part.
    """
    path = Path(name)
    try:
        if path.suffix == _SUFFIX or path.parent != Path():
            if not path.with_suffix(_SUFFIX).is_file():
                shipped = ", ".join(templates.names())
                raise LocalError(f"there is no file {path}; templates that ship: {shipped}")
            template = templates.load_from(path.parent, path.name.removesuffix(_SUFFIX))
        else:
            template = templates.load(name)
    except ConfigError as error:
        raise LocalError(str(error)) from None
    if template.push is None:
        pushing = ", ".join(each for each in templates.names() if templates.load(each).push)
        raise LocalError(f"template {name} has no [push] part; these have: {pushing}")
    return Readings(template, template.push)


def _when(reading: PushedReading) -> dict[str, object]:
    captured_at = reading.captured_at
    if captured_at is None:
        return {"captured_at": None}
    return {"captured_at": captured_at.isoformat(), "clock_status": reading.clock_status}
