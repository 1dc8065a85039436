"""Changing a meter's keys: what `key_transfer` of the security setup carries (Blue Book, 4.4.7).

Each new key comes wrapped with the master key (AES key wrap, RFC 3394). All keys of one call are
taken or none is. They hold from the next association on: the answer to the call, and whatever else
the open association brings, is still protected with the old ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from hesper_dlms import axdr
from hesper_dlms.errors import DecodeError, SecurityError
from hesper_dlms.security import SecuritySettings
from hesper_dlms.security.key_pairs import PeerKeys, PrivateKey
from hesper_dlms.security.key_wrap import unwrap

from hesper_sim import secrets
from hesper_sim.district import District
from hesper_sim.fleet import MeterPlan
from hesper_sim.meter import Meter
from hesper_sim.nonvolatile import Keys

_CACHED: Final = 128
KEY_NAMES: Final = {0: "encryption", 1: "broadcast", 2: "authentication", 3: "master"}
"""By key_id of key_transfer."""
_NONE: Final = Keys()


class WrongWrap(DecodeError):
    """A key was not wrapped with the meter's master key, or has the wrong length."""


def keys_of(district: District, meter: Meter) -> Keys:
    """Return the keys that a meter uses now, none of them missing."""
    kept = district.known(meter)
    changed = kept.keys if kept is not None else _NONE
    plan = meter.plan
    seed = district.fleet.settings.seed
    return Keys(
        changed.encryption or plan.encryption_key,
        changed.authentication or plan.authentication_key,
        changed.master or secrets.symmetric(seed, plan.serial, "master key", plan.suite),
        changed.broadcast or secrets.symmetric(seed, "fleet", "broadcast key", plan.suite),
    )


def settings_of(district: District, meter: Meter) -> SecuritySettings:
    """Return a meter's security as it is now: suite, keys, key pairs and the head end's."""
    keys = keys_of(district, meter)
    plan = meter.plan
    if plan.suite == 0:
        return SecuritySettings(
            0,
            keys.encryption or b"",
            keys.authentication,
            broadcast_key=keys.broadcast,
            master_key=keys.master,
        )
    return _with_key_pairs(district.fleet.settings.seed, plan, keys)


@lru_cache(maxsize=_CACHED)
def _with_key_pairs(seed: int, plan: MeterPlan, keys: Keys) -> SecuritySettings:
    return SecuritySettings(
        plan.suite,
        keys.encryption or b"",
        keys.authentication,
        broadcast_key=keys.broadcast,
        master_key=keys.master,
        signing_key=key_pair(seed, plan.serial, "signing", plan.suite),
        agreement_key=key_pair(seed, plan.serial, "agreement", plan.suite),
        peer=PeerKeys(
            key_pair(seed, secrets.HEAD_END, "signing", plan.suite).public,
            key_pair(seed, secrets.HEAD_END, "agreement", plan.suite).public,
        ),
    )


@lru_cache(maxsize=_CACHED)
def key_pair(seed: int, owner: str, purpose: str, suite: int) -> PrivateKey:
    """Return a key pair for `signing` or `agreement` of a meter (by serial) or the head end."""
    return PrivateKey.from_scalar(suite, secrets.private_key(seed, owner, purpose, suite))


def take(district: District, meter: Meter, transferred: Iterable[axdr.Data]) -> None:
    """Take new keys; each item is {key_id, wrapped key}.

    Raises:
        WrongWrap: A wrapped key cannot be opened; nothing has changed then.
        DecodeError: The items are none, or name an unknown key.
    """
    master = keys_of(district, meter).master or b""
    kept = district.known(meter)
    changed = kept.keys if kept is not None else _NONE
    for each in transferred:
        key_id, wrapped = each.as_items()
        name = KEY_NAMES.get(key_id.as_int())
        if name is None:
            raise DecodeError(f"there is no key {key_id.as_int()}")
        changed = replace(changed, **{name: _unwrap(master, wrapped.as_octets())})
    if changed != (kept.keys if kept is not None else _NONE):
        district.change_keys(meter, changed)


def _unwrap(master: bytes, wrapped: bytes) -> bytes:
    try:
        key = unwrap(master, wrapped)
    except SecurityError:
        raise WrongWrap("the key was not wrapped with this meter's master key") from None
    if len(key) != len(master):
        raise WrongWrap("the key has the wrong length")
    return key
