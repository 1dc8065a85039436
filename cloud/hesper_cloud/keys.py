"""The cloud's key files: made once, each readable by its owner alone.

==================  =====================================================  =================
file                what it is                                             who reads it
==================  =====================================================  =================
``commands.key``    Ed25519, signs commands and time answers               authority
``commands.pub``    its public half, where the key itself is in a token      everyone
``requests.key``    X25519, opens passwords sealed in requests             authority
``requests.pub``    its public half                                        web
``receipts.key``    Ed25519, signs receipts                                ingest
``….id``            the id of a signing key, for backups                   everyone
``tokens.key``      32 random octets, HMAC of machine tokens (JWT)         web
``vault.key``       32 random octets a line, wraps what is kept (`vault`)  authority
``delivery.key``    likewise, wraps the secrets of delivery's targets      web, jobs
``ca.key``          ECDSA P-256, signs certificates (`ca.custody`)         authority
==================  =====================================================  =================

Where systemd hands a file of the same name over as a credential (``LoadCredential=``), that one is
taken, and none need lie in the folder.
"""

import contextlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hesper_contracts import durable
from hesper_contracts.durable import synchronise
from hesper_contracts.signing import Signer, key_id

from hesper_cloud import hsm
from hesper_cloud.sealing import Opener, Sealer
from hesper_cloud.settings import Settings
from hesper_cloud.vault import KEY_OCTETS, Vault, read_masters

COMMAND_PUBLIC = "commands.pub"


def create(folder: Path, signing: Sequence[str] = ("commands", "receipts")) -> None:
    """Makes the key files that are missing; an existing key is never replaced.

    Args:
        folder: Where they lie.
        signing: Those of the signing keys that are files.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in signing:
        path = folder / f"{name}.key"
        if not path.exists():
            Signer.generate().save(path)
        durable.put(folder / f"{name}.id", f"{Signer.load(path).key_id}\n".encode("ascii"), 0o644)
    if not (folder / "tokens.key").exists():
        _write_private(folder / "tokens.key", secrets.token_bytes(32))
    if not (folder / "requests.key").exists():
        _write_private(folder / "requests.key", X25519PrivateKey.generate().private_bytes_raw())
    public = Opener.load(folder / "requests.key").public_key
    _write_public(folder / "requests.pub", public)


def command_signer(folder: Path) -> Signer:
    """Loads the key that signs commands; only the authority may."""
    return Signer.load(located(folder, "commands.key"))


def authority_signer(settings: Settings) -> Signer:
    """Returns what signs commands, from a file or in a token; only the authority may.

    Raises:
        SigningUnavailable: the token does not open.
    """
    found = settings.hsm
    if found is None:
        return command_signer(settings.keys)
    return Signer(hsm.TokenKey(found, lambda: hsm.pin_of(found.pin_file)))


def command_public_key(settings: Settings) -> bytes:
    """Returns the public half of the key that signs commands; asks no token for it."""
    if settings.hsm is None:
        return command_signer(settings.keys).public_key
    text = (settings.keys / COMMAND_PUBLIC).read_text(encoding="ascii")
    return bytes.fromhex(text.strip())


def make_in_token(settings: Settings) -> bytes:
    """Makes the command key in its token and notes the public half beside the key files.

    A key that is there is taken where no public half is noted: this was cut off, or a disk lost.

    Raises:
        SigningUnavailable: no token is set, it has the key already, or it cannot.
    """
    if settings.hsm is None:
        raise hsm.SigningUnavailable("[hsm] in cloud.toml names no token")
    noted = settings.keys / COMMAND_PUBLIC
    try:
        public = hsm.make_key(settings.hsm, hsm.pin_of(settings.hsm.pin_file))
    except hsm.KeyIsThere:
        if noted.exists():
            raise
        public = hsm.public_half(settings.hsm, hsm.pin_of(settings.hsm.pin_file))
    settings.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_public(noted, public)
    return public


def receipt_signer(folder: Path) -> Signer:
    """Loads the key that signs receipts."""
    return Signer.load(folder / "receipts.key")


def request_opener(folder: Path) -> Opener:
    """Loads the key that opens sealed passwords; only the authority may."""
    return Opener.load(located(folder, "requests.key"))


def request_sealer(folder: Path) -> Sealer:
    """Loads the public key to which passwords are sealed."""
    return Sealer.load(folder / "requests.pub")


def vault(folder: Path) -> Vault:
    """Loads the master key of what is kept locked, which is made at first use.

    Only the authority and its operator may. Without the file nothing that is kept opens again.
    """
    return _vault(folder, "vault.key")


def delivery_vault(folder: Path) -> Vault:
    """Returns the vault of the secrets of delivery's targets; its file is made at first use.

    One that is damaged stops nothing else: what needs it says so when it does (`VaultBroken`).
    """
    path = _made(folder, "delivery.key")
    return Vault(lambda: read_masters(path))


def _vault(folder: Path, name: str) -> Vault:
    return Vault.of_file(_made(folder, name))


def _made(folder: Path, name: str) -> Path:
    """Returns where a file of master keys is, which is made if it is missing."""
    path = located(folder, name)
    if not path.exists():
        with contextlib.suppress(FileExistsError):  # another process was a moment earlier
            _write_private(path, secrets.token_bytes(KEY_OCTETS))
    return path


def write_masters(path: Path, masters: Sequence[bytes]) -> None:
    """Puts master keys in the place of those in a file, durably, as one step; its owner stays."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.writelines(f"{master.hex()}\n" for master in masters)
            file.flush()
            before = path.stat()
            os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fsync(descriptor)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    synchronise(path.parent)


def located(folder: Path, name: str) -> Path:
    """Returns where a private key file is: a credential of the service, or in the folder."""
    handed = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = Path(handed) / name if handed else None
    return credential if credential is not None and credential.exists() else folder / name


def token_secret(folder: Path) -> bytes:
    """Loads the secret of machine tokens."""
    return bytes.fromhex((folder / "tokens.key").read_text(encoding="ascii").strip())


def signing_ids(settings: Settings, *, held: bool = False) -> dict[str, str]:
    """Returns the ids of the signing keys, by name.

    Args:
        settings: Say where they are.
        held: Only of keys that this process can read or that are in a token; else what was noted
            of keys that are not this process's to read, too.
    """
    found = {name: _id_of(settings, name, held) for name in ("commands", "receipts")}
    return {name: each for name, each in found.items() if each}


def _id_of(settings: Settings, name: str, held: bool) -> str:
    folder = settings.keys
    try:
        if name == "commands" and settings.hsm is not None:
            return key_id(command_public_key(settings))
        return Signer.load(located(folder, f"{name}.key")).key_id
    except (OSError, ValueError):  # another account's, or hidden from this process by an empty file
        noted = folder / f"{name}.id"
    return noted.read_text(encoding="ascii").strip() if noted.exists() and not held else ""


def _write_public(path: Path, octets: bytes) -> None:
    durable.put(path, f"{octets.hex()}\n".encode("ascii"), 0o644)


def _write_private(path: Path, octets: bytes) -> None:
    durable.write_new(path, f"{octets.hex()}\n".encode("ascii"))
