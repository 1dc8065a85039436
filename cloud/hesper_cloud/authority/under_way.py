"""Two commands that exclude each other are never at a gateway at the same time.

A request is refused while another command is open. Rows of batches were frozen days ago, maybe, and
a command may have waited for approval or its hours meanwhile: so what is at the gateway by then is
looked at once more when a command is about to be signed.
"""

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from hesper_cloud.authority import facts, life, rules
from hesper_cloud.authority.kinds import READ
from hesper_cloud.authority.policy import JOBS
from hesper_cloud.db.authority import CommandRecord

_LEFT = life.AT_GATEWAY | {"unknown"}


class UnderWay:
    """What has left for the addressees of several commands that are signed in one transaction.

    It is looked up for the first that is about to be signed: most turns find that all must wait.
    """

    def __init__(self, session: Session, several: Sequence[CommandRecord]) -> None:
        self._session = session
        self._several = several
        self._left: dict[str, list[CommandRecord]] | None = None

    def add(self, command: CommandRecord) -> None:
        """Notes what has just been signed, too."""
        if command.requester != JOBS:
            self._found().setdefault(_addressee(command), []).append(command)

    def check(self, command: CommandRecord) -> None:
        """Checks that nothing is under way that a request for this command would be refused for.

        Raises:
            Denied: something is, and this is no emergency.
        """
        if command.kind == READ or command.requester == JOBS:
            return
        excluded = rules.excluding(command.kind)
        for each in self._found().get(_addressee(command), ()):
            is_excluded = each.state in excluded.get(each.kind, ())
            if is_excluded and not facts.broke_glass(self._session, command.id):
                raise rules.in_the_way(each)

    def _found(self) -> dict[str, list[CommandRecord]]:
        if self._left is None:
            self._left = {}
            for each in self._session.scalars(self._query()):
                self._left.setdefault(_addressee(each), []).append(each)
        return self._left

    def _query(self) -> Select[CommandRecord]:
        meters = {each.meter for each in self._several if each.meter}
        gateways = {each.gateway for each in self._several if not each.meter}
        of_gateways = (CommandRecord.meter == "") & CommandRecord.gateway.in_(gateways)
        return select(CommandRecord).where(
            CommandRecord.state.in_(_LEFT),
            CommandRecord.requester != JOBS,
            CommandRecord.meter.in_(meters) | of_gateways,
        )


def _addressee(command: CommandRecord) -> str:
    return command.meter or command.gateway
