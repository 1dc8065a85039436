"""The keys that are born on a device, and the folder where an enrolment is under way."""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hesper_contracts.enrolment import Ask, Token
from hesper_contracts.signing import Signer

from hesper_gateway.errors import ConfigError
from hesper_gateway.secrets_files import load_signer, put

STAGE = ".enrolment"
"""Beside where gateway.toml will be; gone when the enrolment is whole."""
_SIGNING, _SEALING = "gateway.key", "sealing.key"


@dataclass(frozen=True, slots=True)
class Device:
    """Both private keys of one enrolment; they never show.

    Attributes:
        signer: The gateway's own from now on.
        signing_file: Where it lies until it is put in place.
    """

    signer: Signer
    signing_file: Path
    _sealing: X25519PrivateKey = field(repr=False)

    def ask(self, token: Token) -> Ask:
        """Return what this device asks with a token; always the same."""
        return Ask(
            gateway=token.gateway,
            token_digest=token.digest,
            signing_key=self.signer.public_key,
            sealing_key=self._sealing.public_key().public_bytes_raw(),
        )

    @property
    def sealing_key(self) -> bytes:
        """The private key that opens the answer."""
        return self._sealing.private_bytes_raw()


def born(stage: Path) -> Device:
    """Return the keys of this enrolment, made and durable before anybody hears of them.

    Raises:
        ConfigError: the folder cannot be written, or what is there are no keys.
    """
    signing, sealing = stage / _SIGNING, stage / _SEALING
    try:
        if not signing.exists():
            signer = Signer.generate()
            draft = stage / "draft.key"
            draft.unlink(missing_ok=True)
            stage.mkdir(mode=0o700, parents=True, exist_ok=True)
            signer.save(draft)
            put(signing, draft.read_bytes())
            draft.unlink()
        if not sealing.exists():
            put(sealing, X25519PrivateKey.generate().private_bytes_raw())
        private = X25519PrivateKey.from_private_bytes(sealing.read_bytes())
    except OSError as error:
        raise ConfigError(f"{error.filename or stage}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{sealing}: no key; remove {stage} and begin again") from error
    return Device(load_signer(signing), signing, private)
