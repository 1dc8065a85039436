"""From gateway.toml and what the launcher says to what updates the gateway."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from hesper_gateway.building import Core, Field, keyring
from hesper_gateway.config import GatewayConfig
from hesper_gateway.firmware import Downloads
from hesper_gateway.launched import FOLDER_VARIABLE, SLOT_VARIABLE
from hesper_gateway.update.errand import Terms, Updater
from hesper_gateway.update.slots import INSTALLED, Slots
from hesper_gateway.update.trial import Proofs, UpdateTrial
from hesper_gateway.uplink import Uplink


def build_trial() -> UpdateTrial:
    """Return the trial of this program, as its launcher told it."""
    folder = os.environ.get(FOLDER_VARIABLE)
    slots = Slots(Path(folder)) if folder else None
    return UpdateTrial(slots, os.environ.get(SLOT_VARIABLE, INSTALLED))


def build_updater(
    config: GatewayConfig,
    downloads: Downloads,
    trial: UpdateTrial,
    now: Callable[[], datetime | None],
) -> Updater:
    """Return what carries out updates; `now` is the proven time."""
    terms = Terms(keyring(config.keys.releases), len(config.meters), now)
    return Updater(downloads, trial, terms)


def proofs_of(core: Core, field: Field, uplink: Uplink) -> Proofs:
    """Return how a running gateway shows that it works."""
    return Proofs(
        uplink.connected,
        lambda: any(state.last_contact_at is not None for state in field.states.values()),
        lambda: core.outbox.released_count > 0,
    )
