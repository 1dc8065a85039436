"""Whose push is this? The meters of one push line, told apart by what they send.

In this order: the system title of the ciphering; a serial number or logical device name among the
values, found by reading the push in the layout of each kind configured on the line. One that names
somebody else is nobody's: an exchanged meter pushes from where the one before did. Of one that
names nobody the address it came from tells, and where the line has one meter only, that one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hesper_dlms.apdu import DataNotification
from hesper_dlms.errors import DecodeError
from hesper_dlms.oneshot import PushedMessage
from hesper_dlms.push import PushedReading, read_push
from hesper_dlms.security import SecuritySettings

from hesper_gateway.config import MeterConfig
from hesper_gateway.errors import ConfigError, GatewayError
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.meter_state import MeterState
from hesper_gateway.sessions.clock import ClockPolicy
from hesper_gateway.sessions.settings import push_security
from hesper_gateway.templates.model import MeterTemplate, PushTemplate

_PROPER = (b"\x60\x01\x00", b"\x2a\x00\x00")
"""Groups C to E of serial number (0.b.96.1.0) and logical device name (0.b.42.0.0)."""


class Unplaced(GatewayError):
    """A message that must not be stored under any meter; the text says why."""


@dataclass(frozen=True, slots=True)
class PushMeter:
    """One meter that pushes: what is configured, known of its kind, and secret."""

    meter: MeterConfig
    template: MeterTemplate
    keys: MeterKeys
    state: MeterState

    @property
    def push(self) -> PushTemplate:
        """The template's push part; `PushMeters` refuses meters without one."""
        return self.template.push or PushTemplate()

    @property
    def kind(self) -> object:
        """What decides how a push is read: meters alike in it share one reading."""
        return self.template.name, self.meter.zone

    @property
    def security(self) -> SecuritySettings | None:
        """Its keys; None for a meter that pushes in the clear."""
        return push_security(self.meter, self.keys)

    @property
    def names(self) -> set[str]:
        """What it may call itself."""
        meter = self.meter
        return {meter.id, *meter.identities, *filter(None, [meter.logical_device_name])}

    def is_named(self, names: Sequence[str]) -> bool:
        """Whether one of the names is this meter's."""
        return not self.names.isdisjoint(names)

    def sends_from(self, source: bytes | None) -> bool:
        """Whether the HDLC source address is this meter's."""
        known = self.meter.source_address
        return None not in (known, source) and int.from_bytes(source or b"", "big") == known

    def read(self, notification: DataNotification, arrived_at: datetime) -> PushedReading:
        """Read a push in this meter's layout; DecodeError when it does not fit."""
        policy = ClockPolicy.of(self.template.clock, self.meter.zone)
        return read_push(
            notification,
            self.push.layout,
            self.push.objects,
            zone=policy.zone,
            wrong_sign=policy.wrong_sign,
            arrived_at=arrived_at,
        )


class PushMeters:
    """The meters that may push on one line.

    Args:
        line: The line's name, for messages.
        meters: All of them over the same kind of link.

    Raises:
        ConfigError: a meter has no push template, links differ, keys lack a system title, or two
            meters would be known by the same.
    """

    def __init__(self, line: str, meters: Sequence[PushMeter]) -> None:
        self._meters = list(meters)
        _refuse_alike(line, self._meters)
        self.link = _common_link(line, self._meters)
        self.keys = _keys_by_title(self._meters)

    def whose(
        self, message: PushedMessage, arrived_at: datetime
    ) -> tuple[PushMeter, PushedReading]:
        """Return the meter that a message belongs to, and the message read in its layout.

        Args:
            message: As it was received.
            arrived_at: When, aware.

        Raises:
            Unplaced: nobody's, or not to be believed.
            DecodeError: it cannot be read in any layout of the line.
        """
        notification = message.notification
        if not message.link.intact:
            raise Unplaced("a check sequence was wrong")
        if not isinstance(notification, DataNotification):
            raise Unplaced("only a data-notification carries readings")
        if message.ciphering is not None:
            title = message.ciphering.system_title.hex()
            for owner in self._meters:
                if owner.meter.system_title == title:
                    return owner, owner.read(notification, arrived_at)
            raise Unplaced(f"no meter on this line has system title {title}")
        owner, reading = self._by_content(
            self._by_kind(notification, arrived_at), message.link.source
        )
        if owner.security is not None:
            raise Unplaced(f"a plain message in the name of {owner.meter.id}, which has keys")
        return owner, reading

    def _by_content(
        self, readings: Mapping[object, PushedReading], source: bytes | None
    ) -> tuple[PushMeter, PushedReading]:
        readable = [
            (owner, readings[owner.kind]) for owner in self._meters if owner.kind in readings
        ]
        for owner, reading in readable:
            if owner.is_named(reading.identities):
                return owner, reading
        for owner, reading in readable:
            if owner.sends_from(source):
                _refuse_stranger(proper_names(reading))
                return owner, reading
        _refuse_stranger([name for _, reading in readable for name in proper_names(reading)])
        if len(self._meters) > 1:
            address = "" if source is None else f"; source_address = 0x{source.hex()}"
            raise Unplaced(f"a push that does not say whose it is{address}")
        return readable[0]

    def _by_kind(
        self, notification: DataNotification, arrived_at: datetime
    ) -> Mapping[object, PushedReading]:
        """Read the push once in each layout that is configured here; keep those that fit."""
        readings: dict[object, PushedReading] = {}
        failure = DecodeError("no layout fits")
        for owner in {each.kind: each for each in self._meters}.values():
            try:
                readings[owner.kind] = owner.read(notification, arrived_at)
            except DecodeError as error:
                failure = error
        if not readings:
            raise failure
        return readings


def proper_names(reading: PushedReading) -> list[str]:
    """Return what a push gives as its meter's serial number or logical device name."""
    names = []
    for value in reading.values:
        name, said = value.logical_name, value.value
        if name is not None and name[0] == 0 and name[2:5] in _PROPER:
            text = said.decode("latin-1") if isinstance(said, bytes) else str(said)
            names.append(text.strip("\0 "))
    return names


def _refuse_stranger(names: Sequence[str]) -> None:
    if names:
        raise Unplaced(f"pushed by {names[0]!r}, which is not configured on this line")


def _refuse_alike(line: str, meters: Sequence[PushMeter]) -> None:
    known: dict[object, str] = {}
    for each in meters:
        meter = each.meter
        signs: set[object] = set(each.names)
        if meter.system_title is not None:
            signs.add(f"system_title {meter.system_title}")
        if meter.source_address is not None:
            signs.add(f"source_address 0x{meter.source_address:x}")
        for sign in signs:
            if (other := known.setdefault(sign, meter.id)) != meter.id:
                raise ConfigError(
                    f"meters {other} and {meter.id}: on line {line} both are known by {sign}"
                )


def _common_link(line: str, meters: Sequence[PushMeter]) -> str:
    for each in meters:
        if each.template.push is None:
            raise ConfigError(f"meter {each.meter.id}: {each.template.name} is no push template")
    kinds = {each.template.link.kind for each in meters}
    if len(kinds) != 1:
        said = ", ".join(sorted(kinds)) or "none, as no meter is configured"
        raise ConfigError(f"line {line}: its meters must share one kind of link, not {said}")
    return kinds.pop()


def _keys_by_title(meters: Sequence[PushMeter]) -> dict[bytes, SecuritySettings]:
    keys = {}
    for each in meters:
        security, title = each.security, each.meter.system_title
        if security is not None:
            if title is None:
                raise ConfigError(f"meter {each.meter.id}: keys of a push need its system_title")
            keys[bytes.fromhex(title)] = security
    return keys
