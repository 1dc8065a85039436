"""The keys that are born on a device, and the folder where an enrolment is under way.

Three of them: the gateway's own (Ed25519), the one that the answer is sealed to (X25519), and the
one by which the broker will know the device (ECDSA P-256), the last with its signing request.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hesper_contracts.enrolment import Ask, Token
from hesper_contracts.signing import Signer

from hesper_gateway import certificate
from hesper_gateway.certificate import Wanted
from hesper_gateway.errors import ConfigError
from hesper_gateway.secrets_files import load_signer, put

STAGE = ".enrolment"
"""Beside where gateway.toml will be; gone when the enrolment is whole."""
_SIGNING, _SEALING = "gateway.key", "sealing.key"
_BROKER, _REQUEST = "broker.key", "broker.csr"


@dataclass(frozen=True, slots=True)
class Device:
    """The private keys of one enrolment; they never show.

    Attributes:
        signer: The gateway's own from now on.
        signing_file: Where it lies until it is put in place.
        wanted: The key for the broker, with its request.
        serial: The device's own serial number, or empty.
    """

    signer: Signer
    signing_file: Path
    wanted: Wanted
    serial: str
    _sealing: X25519PrivateKey = field(repr=False)

    def ask(self, token: Token) -> Ask:
        """Return what this device asks with a token; always the same."""
        return Ask(
            gateway=token.gateway,
            token_digest=token.digest,
            signing_key=self.signer.public_key,
            sealing_key=self._sealing.public_key().public_bytes_raw(),
            serial=self.serial,
            certificate_request=self.wanted.request,
        )

    @property
    def sealing_key(self) -> bytes:
        """The private key that opens the answer."""
        return self._sealing.private_bytes_raw()


def born(stage: Path, gateway: str, serial: str, own: Path | None = None) -> Device:
    """Return the keys of this enrolment, made and durable before anybody hears of them.

    Those of an enrolment under another name, which came to nothing, are replaced: their request
    is for that name, and no two gateways have one key.

    Args:
        stage: Where they lie until the enrolment is whole.
        gateway: The name that the device is to bear.
        serial: The device's own serial number, or empty.
        own: The gateway's own key, where it stays what it was.

    Raises:
        ConfigError: the folder cannot be written, or what is there are no keys.
    """
    signing, sealing = own or stage / _SIGNING, stage / _SEALING
    try:
        if _is_of_another(stage, gateway):
            shutil.rmtree(stage)
        stage.mkdir(mode=0o700, parents=True, exist_ok=True)
        if own is None and not signing.exists():
            signer = Signer.generate()
            draft = stage / "draft.key"
            draft.unlink(missing_ok=True)
            signer.save(draft)
            put(signing, draft.read_bytes())
            draft.unlink()
        if not sealing.exists():
            put(sealing, X25519PrivateKey.generate().private_bytes_raw())
        private = X25519PrivateKey.from_private_bytes(sealing.read_bytes())
        wanted = _wanted(stage, gateway)
    except OSError as error:
        raise ConfigError(f"{error.filename or stage}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{sealing}: no key; remove {stage} and begin again") from error
    return Device(load_signer(signing), signing, wanted, serial, private)


def _is_of_another(stage: Path, gateway: str) -> bool:
    """Say whether what lies in the stage was begun under another name."""
    request = stage / _REQUEST
    return request.exists() and certificate.requested_name(request.read_bytes()) != gateway


def _wanted(stage: Path, gateway: str) -> Wanted:
    """Return key and request for the broker; a request that was made once stays the same."""
    key, request = stage / _BROKER, stage / _REQUEST
    if not key.exists():
        put(key, certificate.born(gateway).key)
    if not request.exists():
        put(request, certificate.request_for(key.read_bytes(), gateway).request)
    return Wanted(request.read_bytes(), key.read_bytes())
