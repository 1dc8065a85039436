"""Who calls: a meter is known by what it says, never by the address that it calls from.

A caller says who it is in its first APDU: by the system title of a ciphered one, or by a system
title or logical device name anywhere among the values of a plain notification. One that says
nothing is asked, through the public client, for its logical device name (0.0.42.0.0.255). None of
this is proof: only the association that follows authenticates the meter, and its logical device
name is read again before any write.
"""

from collections.abc import Iterable, Iterator

from hesper_dlms import apdu, axdr, obis
from hesper_dlms.apdu import Ciphered, CosemAttribute, DataNotification, GeneralCiphering
from hesper_dlms.axdr import Data
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.exchange import Exchange

from hesper_gateway.config import MeterConfig
from hesper_gateway.errors import ConfigError, LineDown

_DATA_CLASS = 1
_PADDING = b"\0 "
"""What some meters fill a logical device name up with."""


class KnownMeters:
    """The meters that may call on one line.

    Args:
        meters: Each has a system title, a logical device name, or both.

    Raises:
        ConfigError: two meters have the same one.
    """

    def __init__(self, meters: Iterable[MeterConfig]) -> None:
        self._ids: dict[bytes, str] = {}
        for meter in meters:
            if meter.system_title is not None:
                self._learn(bytes.fromhex(meter.system_title), meter)
            if meter.logical_device_name is not None:
                self._learn(meter.logical_device_name.encode(), meter)

    def _learn(self, name: bytes, meter: MeterConfig) -> None:
        other = self._ids.setdefault(name, meter.id)
        if other != meter.id:
            raise ConfigError(
                f"meters {other} and {meter.id}: on line {meter.line} both are called {name!r}"
            )

    def named(self, names: Iterable[bytes]) -> str:
        """Return the id of the meter that one of the names belongs to.

        Raises:
            LineDown: none of the names is known, or they are those of several meters.
        """
        said = list(names)
        found = {self._ids[name] for name in said if name in self._ids}
        if len(found) > 1:
            raise LineDown(f"the caller names {len(found)} meters")
        if not found:
            shown = ", ".join(repr(name) for name in said[:4]) or "no name"
            raise LineDown(f"no meter here is called {shown}")
        return found.pop()


def names_in(octets: bytes) -> list[bytes]:
    """Return what a caller's first APDU says that may be its name.

    Raises:
        DlmsError: it does not parse.
        LineDown: APDUs of this kind name nobody.
    """
    said = apdu.parse(octets)
    match said:
        case Ciphered(system_title=bytes(title)):
            return [title]
        case GeneralCiphering(header=header):
            return [header.originator]
        case DataNotification(body=body):
            return list(_octets_of(axdr.decode(body)))
        case _:
            raise LineDown(f"the caller begins with {type(said).__name__}, which names nobody")


def asked_name(server_address: int = 1) -> Exchange[bytes]:
    """Ask a meter for its logical device name, through the public client."""
    settings = AssociationSettings(server_address=server_address)
    client = Client(settings.over_wrapper(), settings)
    yield from client.connect()
    name = yield from client.get(CosemAttribute(_DATA_CLASS, obis.LOGICAL_DEVICE_NAME, 2))
    yield from client.release()
    return name.as_octets().strip(_PADDING)


def _octets_of(data: Data) -> Iterator[bytes]:
    if isinstance(data.value, tuple):
        for item in data.value:
            yield from _octets_of(item)
    elif isinstance(data.value, bytes | str):
        octets = data.as_octets()
        yield octets  # as it is: a system title may end like that too
        if octets != octets.strip(_PADDING):
            yield octets.strip(_PADDING)
