"""A small meter on our own server, and drivers that need no socket."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import (
    CLOCK_TIME,
    AccessSelection,
    CosemAttribute,
    CosemMethod,
    DataAccessResult,
    capture_object,
)
from hesper_dlms.client import AssociationSettings, Authentication, SecuritySettings
from hesper_dlms.errors import ServiceError
from hesper_dlms.exchange import Exchange
from hesper_dlms.server import ClientRole, LogicalServer
from hesper_gateway.desk.cli import main

ENCRYPTION_KEY = bytes(range(16))
AUTHENTICATION_KEY = bytes(range(0xD0, 0xE0))
CLIENT_TITLE = b"HSPcl\x00\x00\x01"
METER_TITLE = b"HSPmt\x00\x00\x01"


class Meter:
    """Objects as a mapping; remembers what was written and invoked."""

    system_title = METER_TITLE
    security = SecuritySettings(0, ENCRYPTION_KEY, AUTHENTICATION_KEY)
    clients: Mapping[int, ClientRole] = {
        16: ClientRole(),
        2: ClientRole(Authentication.LOW, password=b"12345678"),
        1: ClientRole(Authentication.HIGH_GMAC, ciphered=True),
        3: ClientRole(Authentication.HIGH_GMAC),
    }

    def __init__(self) -> None:
        self.values: dict[CosemAttribute, bytes] = {
            ENERGY: axdr.encode(axdr.double_long_unsigned(1234567)),
            NAME: axdr.encode(axdr.octet_string(b"HSP0012642984000")),
            LONG: axdr.encode(axdr.octet_string(bytes(range(256)) * 20)),
            **_profile(),
            CosemAttribute(3, obis.ACTIVE_ENERGY_IMPORT, 3): axdr.encode(
                axdr.structure(axdr.integer(-3), axdr.enum(30))
            ),
            CosemAttribute(15, bytes((0, 0, 40, 0, 0, 255)), 2): axdr.encode(
                axdr.array(_listed(3, obis.ACTIVE_ENERGY_IMPORT), _listed(8, obis.CLOCK))
            ),
        }
        self.server: LogicalServer | None = None
        self.selections: list[AccessSelection | None] = []
        self.actions: list[bytes | None] = []

    def get(
        self, client: int, attribute: CosemAttribute, selection: AccessSelection | None
    ) -> bytes:
        self.selections.append(selection)
        if attribute == COUNTER:
            last = self.server.last_received_counter if self.server else 0
            return axdr.encode(axdr.double_long_unsigned(last))
        if attribute not in self.values:
            raise ServiceError(DataAccessResult.OBJECT_UNDEFINED)
        return self.values[attribute]

    def set(self, client: int, attribute: CosemAttribute, octets: bytes) -> None:
        if client == 16:
            raise ServiceError(DataAccessResult.READ_WRITE_DENIED)
        self.values[attribute] = octets

    def action(self, client: int, method: CosemMethod, octets: bytes | None) -> bytes | None:
        if client == 16:
            raise ServiceError(DataAccessResult.READ_WRITE_DENIED)
        self.actions.append(octets)
        return octets


def _listed(class_id: int, logical_name: bytes) -> axdr.Data:
    name = axdr.octet_string(logical_name)
    rights = axdr.structure(axdr.array(), axdr.array())
    return axdr.structure(axdr.long_unsigned(class_id), axdr.unsigned(0), name, rights)


def _profile() -> dict[CosemAttribute, bytes]:
    """Two rows of a load profile."""
    columns = axdr.array(capture_object(CLOCK_TIME), capture_object(ENERGY))
    times = (bytes.fromhex(f"07ea0101ff0a{minute:02x}0000000000") for minute in (0, 15))
    rows = [
        axdr.structure(axdr.octet_string(time), axdr.double_long_unsigned(100 + number))
        for number, time in enumerate(times)
    ]
    values = {3: columns, 4: axdr.double_long_unsigned(900), 2: axdr.array(*rows)}
    return {
        CosemAttribute(7, obis.LOAD_PROFILE_1, number): axdr.encode(value)
        for number, value in values.items()
    }


COUNTER = CosemAttribute(1, obis.INVOCATION_COUNTER, 2)
ENERGY = CosemAttribute(3, obis.ACTIVE_ENERGY_IMPORT, 2)
NAME = CosemAttribute(1, obis.LOGICAL_DEVICE_NAME, 2)
LONG = CosemAttribute(1, obis.parse("0.0.96.50.0.255"), 2)


def run(exchange: Exchange[Any], answer: Callable[[bytes], bytes], chunk: int = 1 << 20) -> Any:
    """Drive an exchange against `answer`; what is not there yet is silence."""
    waiting = b""
    try:
        out = next(exchange)
        while True:
            if out:
                waiting += answer(out)
            arrived, waiting = waiting[:chunk], waiting[chunk:]
            out = exchange.send(arrived)
    except StopIteration as end:
        return end.value


class Counter:
    """Invocation counters of the client."""

    def __init__(self, first: int = 1) -> None:
        self.next = first

    def __call__(self) -> int:
        self.next += 1
        return self.next - 1


def settings(client: int, counter: Counter | None = None, **other: Any) -> AssociationSettings:
    """Return what fits the meter's role for a client address."""
    if client == 16:
        return AssociationSettings(16, **other)
    if client == 2:
        return AssociationSettings(2, 1, Authentication.LOW, b"12345678", **other)
    other.setdefault("security", Meter.security)
    return AssociationSettings(
        client,
        1,
        Authentication.HIGH_GMAC,
        system_title=CLIENT_TITLE,
        ciphered=client == 1,
        invocation_counter=counter or Counter(),
        **other,
    )


class Bench:
    """What tests of this folder share, as one fixture (test folders are no packages)."""

    Meter = Meter
    Counter = Counter
    ENERGY, NAME, LONG = ENERGY, NAME, LONG
    ENCRYPTION_KEY, AUTHENTICATION_KEY = ENCRYPTION_KEY, AUTHENTICATION_KEY
    CLIENT_TITLE, METER_TITLE = CLIENT_TITLE, METER_TITLE
    run = staticmethod(run)
    settings = staticmethod(settings)


@pytest.fixture(scope="session")
def bench() -> type[Bench]:
    """The small meter and its drivers."""
    return Bench


class Done(NamedTuple):
    """How a run of the command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs the command's `main` with arguments, standard input and environment."""

    def run(*arguments: str, stdin: str = "", **environment: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["hesper-dlms", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        for name, value in {"COLUMNS": "200", "TERM": "dumb", **environment}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
        for name in environment:
            monkeypatch.delenv(name)
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run
