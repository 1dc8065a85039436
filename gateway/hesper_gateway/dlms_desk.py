"""One meter on the desk: opens port, link and association for a command and closes them again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from hesper_dlms import obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.association import Authentication
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.errors import LocalError
from hesper_dlms.exchange import ClientLink, Exchange

from hesper_gateway.dlms_options import Connection, hex_octets
from hesper_gateway.dlms_ports import Port, Result, SerialPort, TcpPort, Trace, drive

_PUBLIC = 16
COUNTER = CosemAttribute(1, obis.INVOCATION_COUNTER, 2)


class Desk:
    """An association with one meter over a blocking port."""

    def __init__(self, connection: Connection, port: Port, trace: Trace | None) -> None:
        self._connection = connection
        self._port = port
        self._trace = trace
        self.client = self._client(self._settings())

    def run(self, exchange: Exchange[Result]) -> Result:
        """Run one exchange to its end."""
        return drive(exchange, self._port, trace=self._trace)

    def _client(self, settings: AssociationSettings) -> Client:
        connection = self._connection
        link: ClientLink
        if connection.over_hdlc:
            link = settings.over_hdlc(connection.physical, connection.address_octets)
        else:
            link = settings.over_wrapper()
        return Client(link, settings)

    def _settings(self) -> AssociationSettings:
        connection = self._connection
        security = connection.security()
        password = connection.secret("password")
        counter = None
        if security is not None:
            first = connection.invocation_counter
            counter = itertools.count(self._read_counter() if first is None else first).__next__
        elif connection.mechanism is Authentication.HIGH_GMAC:
            raise LocalError("gmac needs --encryption-key and --authentication-key")
        return AssociationSettings(
            client_address=connection.client,
            server_address=connection.server,
            authentication=connection.mechanism,
            password=None if password is None else password.encode(),
            system_title=hex_octets(connection.system_title, "the system title"),
            security=security,
            invocation_counter=counter,
        )

    def _read_counter(self) -> int:
        """Return the counter behind the last that the meter took, read by the public client."""
        settings = AssociationSettings(_PUBLIC, self._connection.server)
        public = self._client(settings)
        try:
            self.run(public.connect())
            return self.run(public.get(COUNTER)).as_int() + 1
        finally:
            self.run(public.release())


@contextmanager
def desk(connection: Connection, trace: Trace | None = None) -> Iterator[Desk]:
    """Associate with the meter, release it at the end.

    Raises:
        DlmsError: Anything that goes wrong on the way.
    """
    port: Port
    if connection.serial is not None:
        port = SerialPort(
            connection.serial, connection.baudrate, connection.framing, connection.timeout
        )
    elif connection.host is not None:
        port = TcpPort(connection.host, connection.port, connection.timeout)
    else:
        raise LocalError("say where the meter is: --host ADDRESS or --serial PORT")
    try:
        opened = Desk(connection, port, trace)
        try:
            opened.run(opened.client.connect())
            yield opened
        finally:
            opened.run(opened.client.release())
    finally:
        port.close()
