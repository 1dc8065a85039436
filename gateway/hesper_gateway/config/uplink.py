"""The way to the cloud in gateway.toml: the broker, whose signatures count, what is kept."""

from pathlib import Path
from typing import Self

from hesper_contracts.requests import MOST_BLOCKS
from hesper_contracts.signing import key_id
from pydantic import Field, model_validator

from hesper_gateway.config.fields import Host, Port, PublicKey, Record, RelativePath


class BrokerConfig(Record):
    """The MQTT broker and this gateway's account on it."""

    host: Host
    port: Port = 1883
    username: str | None = None
    password_file: RelativePath | None = None
    tls_ca: RelativePath | None = None
    """Certificate of the authority that signed the broker's; without it the link is plain."""
    certificate: RelativePath | None = None
    """Key and certificate by which the broker knows us, one file; `enroll` makes it."""
    root: str = "hesper/v1"
    keepalive_s: int = Field(default=30, ge=5)
    trial_s: float = Field(default=120, ge=1, le=3600)
    """How long the head end may take to answer with a new gateway.toml before the old returns."""

    @model_validator(mode="after")
    def _certificate_goes_with_tls(self) -> Self:
        if self.certificate is not None and self.tls_ca is None:
            raise ValueError("certificate: it is shown over TLS alone; name tls_ca, too")
        return self


class KeysConfig(Record):
    """Whose signatures count, and the key that signs this gateway's results."""

    signing: RelativePath = Path("gateway.key")
    """Ed25519 seed as 64 hex digits, readable by the gateway alone; `hesper-gateway keygen`."""
    commands: dict[str, PublicKey] = Field(default_factory=dict)
    """Key id → public key of the authority: commands and time answers."""
    receipts: dict[str, PublicKey] = Field(default_factory=dict)
    """Key id → public key of ingest: receipts."""
    releases: dict[str, PublicKey] = Field(default_factory=dict)
    """Key id → public key of those who release firmware; two of them sign an image's manifest."""

    @model_validator(mode="after")
    def _ids_belong_to_keys(self) -> Self:
        tables = (self.commands, self.receipts, self.releases)
        for name, public_key in (pair for table in tables for pair in table.items()):
            if key_id(bytes.fromhex(public_key)) != name:
                raise ValueError(f"{name!r} is not the id of public key {public_key}")
        return self


class OutboxConfig(Record):
    """How much the gateway keeps, and how much of it is under way at once."""

    quota_mb: int = Field(default=512, ge=1)
    ballast_mb: int = Field(default=2, ge=0)
    batches_in_flight: int = Field(default=32, ge=1, le=1000)


class FirmwareConfig(Record):
    """How much of disk, uplink and lines firmware images may take."""

    quota_mb: int = Field(default=16, ge=1)
    """All images together, on disk."""
    octets_per_s: int = Field(default=50_000, ge=100)
    """What is asked for of images over the broker, all meters together, on average."""
    blocks_in_flight: int = Field(default=8, ge=1, le=MOST_BLOCKS)
    """Blocks of 16 KiB that are asked for and have not come."""
    slice_s: float = Field(default=20, gt=0, le=600)
    """How long blocks go to a meter before other work has its line."""
