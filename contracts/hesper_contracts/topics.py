"""Topic names: identity before kind, so that an access rule is one pattern per gateway."""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

from hesper_contracts.frame import Kind, Refused

ROOT = "hesper/v1"
CLOUD = "cloud"
_GATEWAY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
METER = re.compile(r'[!"$&-.0->@-\[\]-~]{1,32}')
"""Not the signs that mean something in an address, in which a meter's page has its name."""
UP = frozenset(
    {
        Kind.READINGS,
        Kind.EVENTS,
        Kind.RESULTS,
        Kind.STATUS,
        Kind.REQUESTS,
        Kind.TUNNEL,
        Kind.WITNESS,
    }
)
DOWN = frozenset(
    {
        Kind.RECEIPTS,
        Kind.AGAIN,
        Kind.COMMANDS,
        Kind.CONFIG,
        Kind.BLOCKS,
        Kind.ANSWERS,
        Kind.TUNNEL,
        Kind.WITNESS,
    }
)


def gateway_id(text: str) -> str:
    """Return the text if it can name a gateway.

    Raises:
        Refused: not lower-case letters, digits and hyphens (1 to 63), or the reserved ``cloud``.
    """
    if text == CLOUD or not _GATEWAY.fullmatch(text):
        raise Refused(
            f"{text!r} cannot name a gateway: use 1 to 63 of a-z, 0-9 and '-', and not 'cloud'"
        )
    return text


def meter_id(text: str) -> str:
    """Return the text if it can name a meter: its serial number, 1 to 32 printable ASCII.

    Raises:
        Refused: empty, too long, or with blanks, control characters or one of ``/ \\ ? # %``.
    """
    if not METER.fullmatch(text):
        raise Refused(
            f"{text!r} cannot name a meter: 1 to 32 printable ASCII characters, "
            "none of them blank or / \\ ? # %"
        )
    return text


def share_group(role: str, password: str | None) -> str:
    """Return the name of the shared subscription of a role's instances.

    Mosquitto's access file does not look at subscriptions: whoever joined a group of a known name
    would be handed, and could swallow, a share of everybody's messages. So the name holds a digest
    of the account's password, which the instances have in common and nobody else knows.
    """
    if password is None:
        return role
    secret = f"hesper shared subscription {role} {password}".encode()
    return f"{role}-{hashlib.sha256(secret).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message came from or goes to: ``gateway/up|down/kind``."""

    gateway: str
    direction: Literal["up", "down"]
    kind: Kind


@dataclass(frozen=True, slots=True)
class CloudAddress:
    """The status topic of one instance of a cloud role."""

    role: str
    instance: str


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic name below one root."""

    root: str = ROOT

    def up(self, gateway: str, kind: Kind) -> str:
        """Return the topic on which a gateway publishes one kind."""
        return f"{self.root}/{gateway_id(gateway)}/up/{kind}"

    def down(self, gateway: str, kind: Kind) -> str:
        """Return the topic on which a gateway receives one kind."""
        return f"{self.root}/{gateway_id(gateway)}/down/{kind}"

    def every_down(self, gateway: str) -> str:
        """Return the filter of all that comes down to one gateway."""
        return f"{self.root}/{gateway_id(gateway)}/down/+"

    def shared(self, group: str, kind: Kind) -> str:
        """Return the filter by which the members of a ``share_group`` share one kind."""
        return f"$share/{group}/{self.root}/+/up/{kind}"

    def every_status(self) -> str:
        """Return the filter of all gateways' retained status, subscribed unshared."""
        return f"{self.root}/+/up/{Kind.STATUS}"

    def every_witness(self) -> str:
        """Return the filter of what all gateways hold of the audit log."""
        return f"{self.root}/+/up/{Kind.WITNESS}"

    def cloud_status(self, role: str, instance: str) -> str:
        """Return the retained status topic of one instance of a cloud role."""
        return f"{self.root}/{CLOUD}/{role}/{instance}/status"

    def every_cloud_status(self) -> str:
        """Return the filter by which a gateway hears cloud roles announce themselves."""
        return f"{self.root}/{CLOUD}/+/+/status"

    def parse(self, topic: str) -> Address | CloudAddress:
        """Return what a received topic names.

        Raises:
            Refused: the topic is not one of the contract's.
        """
        prefix = f"{self.root}/"
        levels = topic.removeprefix(prefix).split("/") if topic.startswith(prefix) else []
        match levels:
            case ["cloud", role, instance, "status"]:
                return CloudAddress(role, instance)
            case [gateway, "up", kind] if kind in UP:
                return Address(gateway_id(gateway), "up", Kind(kind))
            case [gateway, "down", kind] if kind in DOWN:
                return Address(gateway_id(gateway), "down", Kind(kind))
        raise Refused(f"topic {topic!r} is not part of the contract below {self.root!r}")
