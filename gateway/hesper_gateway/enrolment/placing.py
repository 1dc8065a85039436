"""The configuration that came: laid out, checked as the agent would, and put in place."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

from hesper_contracts.enrolment import CONFIGURATION, Answer, Configuration, Secrets, Token

from hesper_gateway import certificate, replacement
from hesper_gateway.config import GatewayConfig, load
from hesper_gateway.configuration_check import check_field
from hesper_gateway.database import DATABASE_NAME
from hesper_gateway.enrolment.device import STAGE, Device
from hesper_gateway.errors import ConfigError
from hesper_gateway.secrets_files import put

_FILES = "files"


def is_whole(folder: Path, stage: Path) -> bool:
    """Say whether all is in place and only the stage is left to go.

    Raises:
        ConfigError: a gateway lives here that this enrolment did not bring.
    """
    there, brought = folder / CONFIGURATION, stage / _FILES / CONFIGURATION
    if not there.exists():
        return False
    if brought.exists() and brought.read_bytes() == there.read_bytes():
        return True
    raise ConfigError(
        f"{there} is there already; stop the agent and move it away, or name another --folder"
    )


def lay_out(stage: Path, configuration: Configuration) -> None:
    """Write what came into the stage, in the place of what an earlier attempt left there."""
    files = stage / _FILES
    if files.exists():
        shutil.rmtree(files)
    for file in configuration.files:
        put(files / file.name, file.octets)


def check(stage: Path, token: Token, device: Device, answer: Answer) -> None:
    """Check what was laid out as the agent would at its start, and the certificate with it.

    Raises:
        ConfigError: the agent would not start with it, or not as the gateway that was asked for.
    """
    files = stage / _FILES
    try:
        settings = load(files / CONFIGURATION)
        check_field(settings)
    except ConfigError as error:
        raise ConfigError(
            f"{error}\nThe agent would not start with what the head end keeps for {token.gateway}. "
            f"Correct it there, then: hesper-cloud gateway keep {token.gateway} FILE, and enrol "
            f"with a new token: hesper-cloud gateway token {token.gateway}"
        ) from error
    if settings.gateway != token.gateway:
        raise ConfigError(f"the configuration is of {settings.gateway}, not of {token.gateway}")
    if not any(token.is_of(bytes.fromhex(key)) for key in settings.keys.commands.values()):
        raise ConfigError("the configuration does not trust the head end that sent it")
    broker = settings.broker
    if broker.password_file is None and broker.certificate is None:
        raise ConfigError("[broker] names neither password_file nor certificate")
    for made_here in (settings.keys.signing, broker.password_file, broker.certificate):
        if made_here is not None and not made_here.is_relative_to(files):
            raise ConfigError(f"{made_here}: key and password must lie beside {CONFIGURATION}")
    fitting_certificate(settings, device, answer)


def put_in_place(folder: Path, device: Device, answer: Answer, secrets: Secrets) -> GatewayConfig:
    """Put everything where the agent looks for it, gateway.toml last; return what it will read.

    Raises:
        OSError: the folder cannot be written.
        DatabaseError: an agent runs here, or its folder cannot be written.
    """
    files = folder / STAGE / _FILES
    settings = load(files / CONFIGURATION, folder)
    for file in secrets.configuration.files:
        if file.name != CONFIGURATION:
            put(folder / file.name, file.octets)
    put(settings.keys.signing, device.signing_file.read_bytes())
    put_for_broker(settings, device, answer, secrets)
    if answer.replaces:
        _succeed(settings, answer)
    put(folder / CONFIGURATION, (files / CONFIGURATION).read_bytes())
    return settings


def fitting_certificate(settings: GatewayConfig, device: Device, answer: Answer) -> bytes | None:
    """Return key and certificate for the broker, one file; None where none is used.

    Raises:
        ConfigError: none came, or it is not for this key, this name and this day.
    """
    if settings.broker.certificate is None:
        return None
    if not answer.certificate:
        raise ConfigError(
            "[broker] names a certificate and the head end signs none; there: hesper-cloud ca init"
        )
    try:
        pem = certificate.wear(device.wanted, answer.certificate)
    except (ValueError, IndexError) as error:
        raise ConfigError(f"the certificate for the broker does not fit: {error}") from None
    certificate.fitted(pem, settings.gateway, datetime.now(UTC))
    return pem


def put_for_broker(
    settings: GatewayConfig, device: Device, answer: Answer, secrets: Secrets
) -> None:
    """Put in place what the broker knows us by: a password, a certificate, or both.

    Raises:
        OSError: the folder cannot be written.
        ConfigError: no certificate that fits.
    """
    broker, pem = settings.broker, fitting_certificate(settings, device, answer)
    if broker.password_file is not None:
        put(broker.password_file, f"{secrets.broker_password}\n".encode())
    if broker.certificate is not None and pem is not None:
        put(broker.certificate, pem)


def _succeed(settings: GatewayConfig, answer: Answer) -> None:
    """Make the state that remembers a predecessor, so that counters are read from the meters."""
    reason = f"takes the place of another device, enrolment {answer.ask.hex()[:16]}"
    ballast_octets = settings.outbox.ballast_mb << 20
    replacement.succeed(settings.state / DATABASE_NAME, ballast_octets, reason)
