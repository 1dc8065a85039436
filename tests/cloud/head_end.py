"""A head end that a test drives turn by turn: databases, authority, a clock and an outlet."""

import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hesper_cloud import keys, provision
from hesper_cloud.authority.broker_accounts import BrokerAccounts
from hesper_cloud.authority.case import seal_context, sealed_subject
from hesper_cloud.authority.core import Authority
from hesper_cloud.authority.enrolment import EnrolmentDesk
from hesper_cloud.authority.outgoing import Outgoing
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter, Request, Result
from hesper_cloud.settings import Settings
from hesper_contracts import commands, results
from hesper_contracts.commands import Command
from hesper_contracts.results import CommandResult, RelayReading, ResultState
from hesper_contracts.signing import Keyring, Signer
from sqlalchemy import select

START = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
PASSWORDS = {
    "vic": "viewing-only-1",
    "ann": "asking-politely-1",
    "ben": "second-pair-of-eyes",
    "cleo": "keeper-of-the-house",
    "dora": "third-pair-of-eyes",
    "otto": "reading-every-line",
}
ROLES = {
    "vic": "viewer",
    "ann": "operator",
    "ben": "approver",
    "cleo": "admin",
    "dora": "approver",
    "otto": "auditor",
}
GATEWAY = "gw-1"
METER = "HES12642984"
PROTECTED = "HES12642985"


@dataclass
class Clock:
    """A clock that moves when it is told to."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Outbox:
    """An outlet that keeps what it is given, and may be without connection."""

    sent: list[Outgoing] = field(default_factory=list)
    connected: bool = True
    arrived: threading.Event = field(default_factory=threading.Event)

    @property
    def connection(self) -> int:
        return int(self.connected)

    def publish(self, outgoing: Outgoing, now: datetime) -> bool:
        if self.connected:
            self.sent.append(outgoing)
            self.arrived.set()
        return self.connected


class HeadEnd:
    """The databases of one head end with its authority, driven turn by turn."""

    def __init__(self, settings: Settings, gateway: Signer, clock: Clock) -> None:
        self.settings = settings
        self.databases = provision.Databases.open(self.settings)
        self.gateway = gateway
        self.clock = clock
        self.outbox = Outbox()
        self.sealer = keys.request_sealer(self.settings.keys)
        self.command_keys = Keyring.of(keys.command_signer(self.settings.keys).public_key)
        self.authority = self.start_authority()

    def start_authority(self) -> Authority:
        """A fresh authority on the same databases, as after a restart."""
        folder = self.settings.keys
        self.authority = Authority(
            (self.databases.registry, self.databases.authority),
            keys.command_signer(folder),
            keys.request_opener(folder),
            self.outbox,
            self.clock,
            EnrolmentDesk(
                keys.command_signer(folder),
                keys.vault(folder),
                BrokerAccounts(self.settings.enrolment),
            ),
        )
        self.authority.spacing.chance = lambda: 0.0
        return self.authority

    def ask(self, who: str, request: str, key: str = "", **payload: Any) -> Request:
        """Writes a request as the web process does, lets the authority turn, returns the row."""
        password = payload.pop("password", None)
        key = key or uuid.uuid4().hex
        context = seal_context(request, who, key, sealed_subject(payload))
        sealed = password and self.sealer.seal(password, context)
        with writing(self.databases.registry) as session:
            row = Request(
                kind=request,
                requested_by=who,
                payload=payload,
                sealed=sealed,
                idempotency_key=key,
                created_at=self.clock.now,
            )
            session.add(row)
        self.authority.turn()
        with reading(self.databases.registry) as session:
            return session.get_one(Request, row.id)

    def ask_disconnect(self, who: str = "ann", meter: str = METER) -> Request:
        return self.ask(
            who,
            "command.request",
            action="disconnect",
            meter=meter,
            reason="unpaid since March",
            serial_tail=meter[-4:],
        )

    def ask_reconnect(self, who: str = "ann", meter: str = METER) -> Request:
        return self.ask(
            who, "command.request", action="reconnect", meter=meter, reason="paid", serial_tail=""
        )

    def approve(self, command: str, who: str = "ben", password: str = "") -> Request:
        return self.ask(
            who, "command.approve", command=command, password=password or PASSWORDS[who]
        )

    def command(self, command_id: str) -> CommandRecord:
        with reading(self.databases.authority) as session:
            return session.get_one(CommandRecord, command_id)

    def commands(self) -> list[CommandRecord]:
        with reading(self.databases.authority) as session:
            return list(session.scalars(select(CommandRecord)))

    def published(self) -> list[Command]:
        """What left, verified as the gateway does it."""
        return [
            commands.from_payload(each.payload, self.command_keys, each.gateway)
            for each in self.outbox.sent
        ]

    def answer(
        self, command: Command, state: ResultState, output: bool | None = None, **changes: Any
    ) -> None:
        """Stores a result as ingest does, signed by the gateway unless told otherwise."""
        signer = changes.pop("signer", self.gateway)
        relay = None if output is None else RelayReading(output, int(output), self.clock.now)
        fields = {
            "command_id": command.id,
            "gateway": GATEWAY,
            "meter": command.meter,
            "state": state,
            "at": self.clock.now,
            "relay_after": relay,
        }
        payload = results.to_payload(CommandResult(**fields | changes), signer, "ab" * 8, 1)
        self.store_result(command.id, payload)

    def store_result(self, command_id: str, payload: bytes) -> None:
        with writing(self.databases.registry) as session:
            row = Result(
                command_id=command_id,
                gateway=GATEWAY,
                payload=payload,
                received_at=self.clock.now,
            )
            session.add(row)
        self.authority.turn()

    def relay_read(self, output: bool, meter: str = METER, control: int | None = None) -> None:
        """Shows a relay reading in the registry, as ingest does from a snapshot."""
        with writing(self.databases.registry) as session:
            row = session.get_one(Meter, meter)
            row.relay_output, row.relay_confirmed_at = output, self.clock.now
            row.relay_control = control

    def close(self) -> None:
        self.databases.close()
