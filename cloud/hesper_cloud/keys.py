"""The cloud's key files: made once, each readable by its owner alone.

==================  =====================================================  =================
file                what it is                                             who reads it
==================  =====================================================  =================
``commands.key``    Ed25519, signs commands and time answers               authority
``requests.key``    X25519, opens passwords sealed in requests             authority
``requests.pub``    its public half                                        web
``receipts.key``    Ed25519, signs receipts                                ingest
``tokens.key``      32 random octets, HMAC of machine tokens (JWT)         web
``vault.key``       32 random octets, wraps the keys of what is kept       authority
==================  =====================================================  =================
"""

import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hesper_contracts.signing import Signer

from hesper_cloud.sealing import Opener, Sealer
from hesper_cloud.vault import KEY_OCTETS, Vault


def create(folder: Path) -> None:
    """Makes the key files that are missing; an existing key is never replaced."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("commands", "receipts"):
        path = folder / f"{name}.key"
        if not path.exists():
            Signer.generate().save(path)
    if not (folder / "tokens.key").exists():
        _write_private(folder / "tokens.key", secrets.token_bytes(32))
    if not (folder / "requests.key").exists():
        _write_private(folder / "requests.key", X25519PrivateKey.generate().private_bytes_raw())
    public = Opener.load(folder / "requests.key").public_key
    (folder / "requests.pub").write_text(public.hex() + "\n", encoding="ascii")


def command_signer(folder: Path) -> Signer:
    """Loads the key that signs commands; only the authority may."""
    return Signer.load(folder / "commands.key")


def receipt_signer(folder: Path) -> Signer:
    """Loads the key that signs receipts."""
    return Signer.load(folder / "receipts.key")


def request_opener(folder: Path) -> Opener:
    """Loads the key that opens sealed passwords; only the authority may."""
    return Opener.load(folder / "requests.key")


def request_sealer(folder: Path) -> Sealer:
    """Loads the public key to which passwords are sealed."""
    return Sealer.load(folder / "requests.pub")


def vault(folder: Path) -> Vault:
    """Loads the master key of what is kept locked, which is made at first use.

    Only the authority and its operator may. Without the file nothing that is kept opens again.
    """
    path = folder / "vault.key"
    if not path.exists():
        _write_private(path, secrets.token_bytes(KEY_OCTETS))
    return Vault(bytes.fromhex(path.read_text(encoding="ascii").strip()))


def token_secret(folder: Path) -> bytes:
    """Loads the secret of machine tokens."""
    return bytes.fromhex((folder / "tokens.key").read_text(encoding="ascii").strip())


def public_ids(folder: Path) -> dict[str, str]:
    """Returns the ids of the signing keys that are in the folder, by name."""
    paths = {name: folder / f"{name}.key" for name in ("commands", "receipts")}
    return {name: Signer.load(path).key_id for name, path in paths.items() if path.exists()}


def _write_private(path: Path, octets: bytes) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(octets.hex() + "\n", encoding="ascii")
