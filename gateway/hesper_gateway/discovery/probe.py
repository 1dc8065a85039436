"""Asking one place: is somebody there, and who?

    HDLC      SNRM ──silence──→ nobody        wrapper   AARQ ──silence, hung up──→ nobody
                └──UA, DM──→ somebody                     └──any answer──→ somebody
    then, as the public client: AARQ, GET name, logical devices, serial number, firmware, release

The public client has no secret, so nothing that a meter refuses here counts towards a lock-out.
"""

from contextlib import suppress
from dataclasses import dataclass

from hesper_dlms import obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.errors import DecodeError, NoAnswer, RemoteError, ServiceError
from hesper_dlms.exchange import Exchange
from hesper_dlms.hdlc.link import HdlcLink

from hesper_gateway.discovery.places import Place

PUBLIC_CLIENT = 16
_DATA, _SAP_ASSIGNMENT = 1, 17
_SERIAL_NUMBER = obis.parse("0.0.96.1.0.255")
_FIRMWARE = obis.parse("1.0.0.2.0.255")
_PADDING = "\0 "
_WHERE = (
    CosemAttribute(_DATA, obis.LOGICAL_DEVICE_NAME, 2),
    CosemAttribute(_SAP_ASSIGNMENT, obis.SAP_ASSIGNMENT, 2),
    CosemAttribute(_DATA, _SERIAL_NUMBER, 2),
    CosemAttribute(_DATA, _FIRMWARE, 2),
)


@dataclass(frozen=True, slots=True)
class LogicalDevice:
    """One of the logical devices that a meter lists (Blue Book, class 17)."""

    server: int
    name: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody who is there tells; empty where it keeps that to itself."""

    name: str = ""
    serial_number: str = ""
    firmware: str = ""
    logical_devices: tuple[LogicalDevice, ...] = ()
    refused: str = ""
    """Why the public client learned nothing."""


def probe(place: Place) -> Exchange[Answer | None]:
    """Ask one place; None when nobody is there."""
    if place.link == "hdlc" and not (yield from _is_connected(place)):
        return None
    settings = AssociationSettings(PUBLIC_CLIENT, place.server)
    client = Client(
        settings.over_hdlc(place.physical, place.address_octets, max_info=128)
        if place.link == "hdlc"
        else settings.over_wrapper(),
        settings,
    )
    try:
        yield from client.connect()
    except NoAnswer as error:
        return None if place.link == "wrapper" else Answer(refused=str(error))
    except RemoteError as error:
        return Answer(refused=str(error))
    return (yield from _asked(client))


def _is_connected(place: Place) -> Exchange[bool]:
    """Connect once and disconnect; somebody answers one SNRM, or nobody is there."""
    link = HdlcLink(
        PUBLIC_CLIENT, place.server, place.physical, place.address_octets, max_info=128, retries=0
    )
    try:
        yield from link.connect()
    except NoAnswer:
        return False
    except RemoteError:
        return True
    yield from link.disconnect()
    return True


def _asked(client: Client) -> Exchange[Answer]:
    """Ask who it is and release it, however that goes."""
    try:
        name, saps, serial_number, firmware = yield from _each(client)
        answer = Answer(_text(name), _text(serial_number), _text(firmware), _devices(saps))
    except RemoteError as error:
        answer = Answer(refused=str(error))
    with suppress(RemoteError):
        yield from client.release()
    return answer


def _each(client: Client) -> Exchange[list[Data | ServiceError]]:
    found: list[Data | ServiceError] = []
    for where in _WHERE:
        try:
            found.append((yield from client.get(where)))
        except ServiceError as error:
            found.append(error)
    return found


def _text(value: Data | ServiceError) -> str:
    if isinstance(value, Data):
        with suppress(DecodeError):
            return value.as_text().strip(_PADDING)
    return ""


def _devices(value: Data | ServiceError) -> tuple[LogicalDevice, ...]:
    found: list[LogicalDevice] = []
    if isinstance(value, Data):
        with suppress(DecodeError, ValueError):
            for item in value.as_items():
                server, name = item.as_items()
                found.append(LogicalDevice(server.as_int(), _text(name)))
    return tuple(found)
