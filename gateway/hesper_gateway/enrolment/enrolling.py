"""The enrolment from end to end, in the order that stands a power cut."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from hesper_contracts import enrolment
from hesper_contracts.enrolment import CONFIGURATION, Answer, Secrets, Token
from hesper_contracts.frame import Refused

from hesper_gateway.config import GatewayConfig, load
from hesper_gateway.enrolment import placing
from hesper_gateway.enrolment.asking import EnrolmentFailed, post
from hesper_gateway.enrolment.device import STAGE, Device, born
from hesper_gateway.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What a device has become.

    Attributes:
        gateway: Its name.
        version: Of its configuration.
        replaces: It takes the place of another device.
        broker_knows: The head end has told the broker its password, or there is none.
        meter_count: Meters in its configuration.
    """

    gateway: str
    version: int
    replaces: bool
    broker_knows: bool
    meter_count: int


@dataclass(frozen=True, slots=True)
class HeadEnd:
    """Where to enrol.

    Attributes:
        url: The address of its web side.
        authority: Certificates to trust instead of the system's.
    """

    url: str
    authority: Path | None = None


def enrol(head_end: HeadEnd, token_text: str, folder: Path, serial: str = "") -> Enrolled | None:
    """Enrol this device; safe to repeat with the same token after a cut at any step.

    Args:
        head_end: Where.
        token_text: As it was handed over.
        folder: Where gateway.toml shall lie.
        serial: The device's own serial number.

    Returns:
        What it has become; None where all was in place already and only tidying was left.

    Raises:
        ConfigError: a file, the token or the address does not fit; nothing is in place.
        EnrolmentFailed: the head end says no, does not answer, or is another one.
        DatabaseError: an agent runs here, or its folder cannot be written.
    """
    folder = folder.absolute()
    stage = folder / STAGE
    if placing.is_whole(folder, stage):
        shutil.rmtree(stage)
        return None
    token = _token(token_text)
    device = born(stage, token.gateway, serial)
    answer, secrets = _asked(head_end, token, device)
    try:
        placing.lay_out(stage, secrets.configuration)
        placing.check(stage, token, device, answer)
        settings = placing.put_in_place(folder, device, answer, secrets)
        shutil.rmtree(stage)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: {error.strerror}") from error
    return _enrolled(answer, settings)


def enrol_again(head_end: HeadEnd, token_text: str, folder: Path, serial: str = "") -> Enrolled:
    """Let an enrolled device that the broker does not know any more have what it comes in with.

    Its own key, configuration and everything that waits in its outbox stay; certificate and
    password are new. Arguments and errors are those of `enrol`; a ConfigError also where the
    device bears another name, or no gateway lives here.
    """
    folder = folder.absolute()
    stage, settings = folder / STAGE, load(folder / CONFIGURATION)
    token = _token(token_text)
    if token.gateway != settings.gateway:
        raise ConfigError(f"the token is for {token.gateway}; this device is {settings.gateway}")
    device = born(stage, token.gateway, serial, settings.keys.signing)
    answer, secrets = _asked(head_end, token, device)
    try:
        placing.put_for_broker(settings, device, answer, secrets)
        shutil.rmtree(stage)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: {error.strerror}") from error
    return replace(_enrolled(answer, settings), replaces=False)


def _enrolled(answer: Answer, settings: GatewayConfig) -> Enrolled:
    return Enrolled(
        gateway=answer.gateway,
        version=answer.version,
        replaces=answer.replaces,
        broker_knows=answer.broker_knows or settings.broker.password_file is None,
        meter_count=len(settings.meters),
    )


def _token(text: str) -> Token:
    try:
        return Token.from_text(text)
    except Refused as refusal:
        raise ConfigError(str(refusal)) from None


def _asked(head_end: HeadEnd, token: Token, device: Device) -> tuple[Answer, Secrets]:
    section = enrolment.sign_ask(device.ask(token), device.signer)
    octets = post(head_end.url, token.text, section, head_end.authority)
    return _opened(octets, token, device, enrolment.digest_of(section))


def _opened(octets: bytes, token: Token, device: Device, ask: bytes) -> tuple[Answer, Secrets]:
    try:
        answer = enrolment.read_answer(octets, token, ask)
        return answer, enrolment.open_box(answer.box, device.sealing_key, ask)
    except Refused as refusal:
        raise EnrolmentFailed(f"the answer does not hold: {refusal}") from None
