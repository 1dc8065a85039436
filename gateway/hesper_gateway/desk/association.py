"""One meter on the desk: opens port, link and association for a command and closes them again."""

from __future__ import annotations

import itertools
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hesper_dlms import obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.association import SYSTEM_TITLE_OCTETS, Authentication
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.errors import (
    AssociationRejected,
    LinkError,
    LocalError,
    RemoteError,
    ServiceError,
)
from hesper_dlms.exchange import ClientLink, Exchange
from hesper_dlms.mode_e import sign_on

from hesper_gateway.desk.credentials import is_ciphered, security_of
from hesper_gateway.desk.keys import hex_octets
from hesper_gateway.desk.options import Connection
from hesper_gateway.desk.ports import Port, Result, SerialPort, TcpPort, Trace, UdpPort, drive

_PUBLIC = 16
_COUNTER_CLASS, _VALUE = 1, 2
_MOST_SKIPPED = 1 << 16
_FRAMING = re.compile("[5-8][NEO][12]")
_HDLC_FRAMING = "8N1"
_DEVICE_NAME = CosemAttribute(1, obis.LOGICAL_DEVICE_NAME, 2)


class Desk:
    """An association with one meter over a blocking port."""

    def __init__(self, client: Client, port: Port, trace: Trace | None) -> None:
        self.client = client
        self._port = port
        self._trace = trace

    def run(self, exchange: Exchange[Result]) -> Result:
        """Run one exchange to its end."""
        return drive(exchange, self._port, trace=self._trace)


@contextmanager
def desk(
    connection: Connection, trace: Trace | None = None, *, repeats: bool = True
) -> Iterator[Desk]:
    """Associate with the meter, release it at the end.

    With keys and no counter given, the meter's own is read first, by the public client and over a
    connection of its own: many meters close it behind one association.

    Args:
        connection: Where the meter is and how to associate with it.
        trace: Is shown all octets.
        repeats: Over UDP a request is sent again into silence, which may carry it out twice.

    Raises:
        DlmsError: Anything that goes wrong on the way.
    """
    _check_way(connection)
    settings = _settings(connection, trace)
    with _associated(connection, settings, trace, repeats) as opened:
        yield opened


def _check_way(connection: Connection) -> None:
    """Raise LocalError where the options contradict each other, before anything is sent."""
    if connection.host is None and connection.serial is None:
        raise LocalError("say where the meter is: --host ADDRESS or --serial PORT")
    if connection.host is not None and connection.serial is not None:
        raise LocalError("--host or --serial, not both: a meter is reached in one way")
    if connection.mode_e and connection.serial is None:
        raise LocalError("mode E signs on at an optical head: --serial PORT")
    if connection.udp and (connection.serial is not None or connection.over_hdlc):
        raise LocalError("the wrapper alone goes over UDP: --udp with --host and without --link")
    hdlc_address = (connection.physical, connection.address_octets)
    if hdlc_address != (None, None) and not connection.over_hdlc:
        raise LocalError(
            "--physical and --address-octets are of an HDLC address: say --link hdlc, or tell the "
            "meters behind one address apart by --server"
        )
    if not _FRAMING.fullmatch(connection.framing):
        raise LocalError(f"{connection.framing!r} is no framing such as 8N1 or 7E1")
    if len(hex_octets(connection.system_title, "the system title")) != SYSTEM_TITLE_OCTETS:
        raise LocalError("a system title has 8 octets, 16 hex digits")


def check_device_name(opened: Desk, expected: str | None) -> None:
    """Raise unless the meter calls itself as expected, before anything is changed on it.

    Raises:
        RemoteError: It is another one: a reused address must never cut the wrong home.
    """
    if expected is None:
        return
    name = opened.run(opened.client.get(_DEVICE_NAME)).as_text()
    if name.rstrip("\0 ") != expected:
        raise RemoteError(f"the meter calls itself {name!r}, not {expected!r}")


def _settings(connection: Connection, trace: Trace | None) -> AssociationSettings:
    security = security_of(connection)
    mechanism = connection.mechanism
    ciphered = security is not None and is_ciphered(connection)
    counter = connection.invocation_counter
    if counter is None and (ciphered or mechanism is Authentication.HIGH_GMAC):
        counter = _read_counter(connection, trace)
    password = connection.secret("password")
    if mechanism.needs_secret and password is None:
        raise LocalError(
            f"{connection.authentication} needs a password: in --keys-file, as --password or from "
            "HESPER_DLMS_PASSWORD"
        )
    return AssociationSettings(
        client_address=connection.client,
        server_address=connection.server,
        authentication=mechanism,
        password=None if password is None else password.encode(),
        system_title=hex_octets(connection.system_title, "the system title"),
        security=security,
        ciphered=ciphered,
        invocation_counter=None if counter is None else itertools.count(counter).__next__,
        max_pdu=connection.max_pdu,
        referencing=connection.names,
    )


def _read_counter(connection: Connection, trace: Trace | None) -> int:
    """Return a counter beyond the last one that the meter took.

    Some of ours may have gone out and not been taken, and nothing is kept between two commands: how
    far beyond is random, so that none of them is used again.
    """
    public = AssociationSettings(_PUBLIC, connection.server, referencing=connection.names)
    name = obis.parse(connection.counter_object)
    try:
        with _associated(connection, public, trace) as opened:
            counter = CosemAttribute(_COUNTER_CLASS, name, _VALUE)
            taken = opened.run(opened.client.get(counter)).as_int()
            return taken + 1 + secrets.randbelow(_MOST_SKIPPED)
    except (ServiceError, AssociationRejected) as error:
        raise LocalError(
            f"the meter does not show its invocation counter ({error}): give --invocation-counter"
        ) from error


@contextmanager
def _associated(
    connection: Connection,
    settings: AssociationSettings,
    trace: Trace | None,
    repeats: bool = True,
) -> Iterator[Desk]:
    link = _link(connection, settings, repeats)
    port = _open(connection)
    try:
        if connection.mode_e and isinstance(port, SerialPort):
            port.sign_on(sign_on(fastest=connection.baudrate), trace)
        opened = Desk(Client(link, settings), port, trace)
        try:
            opened.run(opened.client.connect())
            yield opened
        finally:
            with suppress(LinkError):  # the meter may hang up first
                opened.run(opened.client.release())
    finally:
        port.close()


def _link(connection: Connection, settings: AssociationSettings, repeats: bool) -> ClientLink:
    if connection.over_hdlc:
        return settings.over_hdlc(connection.physical, connection.address_octets)
    return settings.over_udp(retries=int(repeats)) if connection.udp else settings.over_wrapper()


def _open(connection: Connection) -> Port:
    if connection.serial is not None:
        framing = _HDLC_FRAMING if connection.mode_e else connection.framing  # it sets its own
        return SerialPort(connection.serial, connection.baudrate, framing, connection.timeout)
    if connection.host is not None and connection.udp:
        return UdpPort(connection.host, connection.port, connection.timeout)
    return TcpPort(str(connection.host), connection.port, connection.timeout)
