"""What faces the broker: the uplink, and everyone who waits for what comes down."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from hesper_contracts import certificates
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.topics import Topics

from hesper_gateway.broker_link import Account
from hesper_gateway.building import Core, Field, keyring
from hesper_gateway.commands import Executor
from hesper_gateway.config import GatewayConfig
from hesper_gateway.firmware import Downloads
from hesper_gateway.presence import Self
from hesper_gateway.secrets_files import load_password, load_signer
from hesper_gateway.timeproof import TimeProof
from hesper_gateway.tunnel import Tunnels
from hesper_gateway.uplink import Ears, Identity, Pace, Uplink
from hesper_gateway.witness import FILE_NAME as WITNESS_FILE
from hesper_gateway.witness import Witness

if TYPE_CHECKING:
    from hesper_gateway.certificate import Renewal
    from hesper_gateway.tracing import Tracing


@dataclass(slots=True)
class Down:
    """Who waits for what comes down beside commands and answers."""

    downloads: Downloads
    tunnels: Tunnels
    witness: Witness
    renewal: "Renewal | None" = None
    """Of the certificate, where the broker knows us by one."""

    def begin(self, uplink: Uplink) -> None:
        """Let them ask through the uplink."""
        self.downloads.publish, self.downloads.connected = uplink.publish, uplink.connected
        self.tunnels.publish, self.tunnels.connected = uplink.tell, uplink.connected
        if self.renewal is not None:
            self.renewal.leave = uplink.leave

    def answer(self, payload: bytes, proof: TimeProof) -> None:
        """Give an answer to who asked: for the time, or for a certificate."""
        if self.renewal is not None and certificates.is_answer(payload):
            self.renewal.accept(payload)
        else:
            proof.accept(payload)


def build_witness(config: GatewayConfig, core: Core) -> Witness:
    """Returns what keeps checkpoints of the head end's audit log."""
    path, keys = config.state / WITNESS_FILE, keyring(config.keys.commands)
    return Witness(config.gateway, path, keys, core.alarms.critical)


def build_renewal(config: GatewayConfig, core: Core) -> "Renewal | None":
    """Returns what keeps the certificate for the broker fresh, where there is one.

    Raises:
        ConfigError: the certificate's file cannot be used.
    """
    if config.broker.certificate is None:
        return None
    from hesper_gateway import certificate  # X.509 is not loaded where nobody shows any

    myself = certificate.Self(
        config.gateway, load_signer(config.keys.signing), keyring(config.keys.commands)
    )
    holding = certificate.Holding(config.broker.certificate)
    return certificate.Renewal(holding, myself, core.time_proof.now, core.alarms.critical)


def build_self(config: GatewayConfig, core: Core, field: Field, down: Down) -> Self:
    """Returns what tells how the gateway is."""
    return Self(
        config.gateway,
        core.database,
        core.outbox,
        core.time_proof,
        field.states,
        field.lines.modems.values(),
        field.costs,
        core.failures,
        down.renewal.expires_at if down.renewal is not None else None,
        field.ports,
    )


def build_uplink(
    config: GatewayConfig, core: Core, myself: Self, executor: Executor, down: Down
) -> Uplink:
    """Returns the uplink with everyone who listens to it.

    Raises:
        ConfigError: the broker's password file cannot be used.
    """
    keys = keyring(config.keys.receipts)
    uplink = Uplink(
        build_account(config, down),
        Identity(config.gateway, Topics(config.broker.root), keys),
        core.outbox,
        Ears(
            myself.status,
            partial(deliver, core.time_proof, executor, down),
            lambda _: core.time_proof.hurry(),
            core.failures,
            build_tracing(config),
        ),
        Pace(window=config.outbox.batches_in_flight),
    )
    down.begin(uplink)
    return uplink


def build_account(config: GatewayConfig, down: Down) -> Account:
    """Returns who we are to the broker, and how it is reached.

    Raises:
        ConfigError: the broker's password file cannot be used.
    """
    broker = config.broker
    password = partial(load_password, broker.password_file)
    password()  # what is amiss is told at the start
    return Account(
        broker.host,
        broker.port,
        config.gateway,
        broker.username,
        password,
        broker.tls_ca,
        broker.keepalive_s,
        down.renewal.holding if down.renewal is not None else None,
    )


def deliver(proof: TimeProof, executor: Executor, down: Down, kind: Kind, payload: bytes) -> None:
    """Give what came down to whom it is for.

    Raises:
        Refused: nobody here waits for this kind.
    """
    match kind:
        case Kind.COMMANDS:
            executor.receive(payload)
        case Kind.ANSWERS:
            down.answer(payload, proof)
        case Kind.BLOCKS:
            down.downloads.receive(payload)
        case Kind.TUNNEL:
            down.tunnels.receive(payload)
        case Kind.WITNESS:
            down.witness.receive(payload)
        case _:
            raise Refused(f"{kind} are not for this release")


def build_tracing(config: GatewayConfig) -> "Tracing | None":
    """Returns what traces batches and commands, where that is wanted."""
    if config.tracing is None:
        return None
    from hesper_gateway.tracing import Tracing  # HTTP is not loaded where nothing is told

    return Tracing(config.gateway, config.tracing)
