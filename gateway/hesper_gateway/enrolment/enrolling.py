"""The enrolment from end to end, in the order that stands a power cut."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from hesper_contracts import enrolment
from hesper_contracts.enrolment import Answer, Secrets, Token
from hesper_contracts.frame import Refused

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
        broker_knows: The head end has told the broker its password.
        meter_count: Meters in its configuration.
    """

    gateway: str
    version: int
    replaces: bool
    broker_knows: bool
    meter_count: int


def enrol(
    head_end: str, token_text: str, folder: Path, authority: Path | None = None
) -> Enrolled | None:
    """Enrol this device; safe to repeat with the same token after a cut at any step.

    Args:
        head_end: The address of its web side.
        token_text: As it was handed over.
        folder: Where gateway.toml shall lie.
        authority: Certificates to trust instead of the system's.

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
    try:
        token = Token.from_text(token_text)
    except Refused as refusal:
        raise ConfigError(str(refusal)) from None
    device = born(stage)
    section = enrolment.sign_ask(device.ask(token), device.signer)
    octets = post(head_end, token.text, section, authority)
    answer, secrets = _opened(octets, token, device, enrolment.digest_of(section))
    try:
        placing.lay_out(stage, secrets.configuration)
        placing.check(stage, token)
        meter_count = placing.put_in_place(folder, device, answer, secrets)
        shutil.rmtree(stage)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: {error.strerror}") from error
    return Enrolled(
        answer.gateway, answer.version, answer.replaces, answer.broker_knows, meter_count
    )


def _opened(octets: bytes, token: Token, device: Device, ask: bytes) -> tuple[Answer, Secrets]:
    try:
        answer = enrolment.read_answer(octets, token, ask)
        return answer, enrolment.open_box(answer.box, device.sealing_key, ask)
    except Refused as refusal:
        raise EnrolmentFailed(f"the answer does not hold: {refusal}") from None
