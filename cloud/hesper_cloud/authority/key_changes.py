"""New keys for meters: made here, sealed for the one gateway and command, settled by its word.

Nobody says what the keys will be: a request names which to renew, and what is signed carries them
sealed (`hesper_contracts.new_keys`). `meter_keys.custody` says which set counts when.
"""

import json
from datetime import datetime
from typing import Any

from hesper_contracts import jsonbody, new_keys
from hesper_contracts.frame import Refused
from hesper_contracts.new_keys import Recipient
from hesper_contracts.parameters import ChangeKeys
from hesper_contracts.results import CommandResult, KeysAtMeter
from msgspec import UnsetType
from sqlalchemy.orm import Session

from hesper_cloud.authority import facts, kinds, life
from hesper_cloud.authority.kinds import CHANGE_KEYS
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.meter_keys.custody import Custody, NoKeys, Origin
from hesper_cloud.meter_keys.key_set import RenewKeys
from hesper_cloud.vault import VaultBroken
from hesper_cloud.worded import worded

_SELF = "authority"
_NOT_TAKEN = frozenset({"rejected", "expired", "failed"})


class KeyDesk:
    """Makes what a change of keys carries, and takes what came of it."""

    def __init__(self, custody: Custody) -> None:
        self._custody = custody

    def parameters(self, session: Session, command: CommandRecord, now: datetime) -> dict[str, Any]:
        """Returns what is signed in the place of the wish; the keys are kept as pending by then.

        Raises:
            Denied: what is kept of the meter does not allow it.
        """
        wanted, _ = kinds.checked(command.kind, command.parameters)
        key = facts.gateway_key(session, command.gateway)
        if not isinstance(wanted, RenewKeys) or key is None:
            raise Denied(worded("new keys cannot be sealed for {gateway}", gateway=command.gateway))
        origin = Origin(_SELF, f"command {command.id}", now)
        recipient = Recipient(command.gateway, command.meter, command.id)
        try:
            new = self._custody.begin(session, command.id, command.meter, wanted.renew, origin)
            sealed = ChangeKeys(sealed=new_keys.seal(new, recipient, key))
        except (NoKeys, VaultBroken, Refused) as reason:
            raise Denied(str(reason)) from None
        return dict(json.loads(jsonbody.encode(sealed)))

    def settle(
        self, session: Session, command: CommandRecord, result: CommandResult, now: datetime
    ) -> None:
        """Takes which keys a meter has, if this result proves it."""
        if command.kind != CHANGE_KEYS:
            return
        told = _told(result)
        if result.state == "confirmed" and told == "new":
            has_new = True
        elif result.state in _NOT_TAKEN and told in {"old", None} and self._alone(session, command):
            has_new = False
        else:
            return
        origin = Origin(f"gateway {result.gateway}", f"command {command.id}", now)
        self._custody.settle(session, command.id, has_new, origin)

    def _alone(self, session: Session, command: CommandRecord) -> bool:
        """Says whether no other command may bring the same set, or have brought it."""
        others = self._custody.others_carrying(session, command.id)
        found = (session.get(CommandRecord, each) for each in others)
        return not any(each is not None and each.state in life.OPEN for each in found)


def _told(result: CommandResult) -> KeysAtMeter | None:
    return None if isinstance(result.findings, UnsetType) else result.findings.keys
