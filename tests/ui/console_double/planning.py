"""The double's schedules, templates and their way to gateways: in memory, by the same rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.services import plan_documents
from hesper_cloud.services.errors import NotFound, Stale
from hesper_cloud.services.plan_sending import Sent
from hesper_cloud.services.plan_states import PlanKind, PlanQuery, PlanState
from hesper_cloud.services.plans import AssignmentRow, PlanRow
from hesper_cloud.services.records import CommandRow, CommandWish

if TYPE_CHECKING:
    from console_double.services import DoubleServices

FILE = 'gateway = "{gateway}"\n\n[schedule]\nprofile_s = 900\nsnapshot_s = 60\n'
"""What a gateway has confirmed, where it was ever configured from here."""
REPORTED = {"profile_s": 900, "snapshot_s": 60}
KNOWN = "gw-tcp"


class Plans:
    """Versions and assignments; one gateway's file is known, the others' are not."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_
        at = datetime.now(UTC) - timedelta(days=9)
        calm = {"profile_s": 900, "snapshot_s": 300}
        self.versions_of: dict[tuple[PlanKind, str], list[PlanRow]] = {
            ("schedule", "calm"): [
                PlanRow("schedule", "calm", 2, calm, "lines were busy", at, "operator"),
                PlanRow("schedule", "calm", 1, {"profile_s": 900}, "", at, "operator"),
            ]
        }
        self.assigned: dict[PlanKind, list[AssignmentRow]] = {
            "schedule": [
                AssignmentRow(1, "schedule", "calm", 2, {"area": "F-000"}, at, "operator", None)
            ],
            "template": [],
        }

    async def newest(self, actor: Actor, kind: PlanKind) -> list[PlanRow]:
        self._all.check(actor, Permission.READ)
        return [rows[0] for (of, _), rows in sorted(self.versions_of.items()) if of == kind]

    async def versions(self, actor: Actor, kind: PlanKind, name: str) -> list[PlanRow]:
        self._all.check(actor, Permission.READ)
        try:
            return list(self.versions_of[kind, name])
        except KeyError:
            raise NotFound(f"there is no {kind} {name}") from None

    async def put(
        self,
        actor: Actor,
        plan: tuple[PlanKind, str],
        document: dict[str, Any],
        note: str,
        wanted: int | None = None,
    ) -> PlanRow:
        self._all.check(actor, Permission.EDIT_ASSETS)
        kind, name = plan
        plan_documents.check(kind, name, document, note)
        rows = self.versions_of.setdefault(plan, [])
        before = rows[0].version if rows else 0
        if wanted is not None and wanted != before:
            raise Stale(f"version {before} is the newest by now, not {wanted}")
        row = PlanRow(kind, name, before + 1, document, note, datetime.now(UTC), actor.username)
        rows.insert(0, row)
        return row

    async def assignments(self, actor: Actor, kind: PlanKind) -> list[AssignmentRow]:
        self._all.check(actor, Permission.READ)
        return list(self.assigned[kind])

    async def assign(
        self, actor: Actor, kind: PlanKind, name: str, version: int | None, query: PlanQuery
    ) -> AssignmentRow:
        self._all.check(actor, Permission.EDIT_ASSETS)
        number = version or (await self.versions(actor, kind, name))[0].version
        count = sum(map(len, self.assigned.values()))
        now, said = datetime.now(UTC), query.said()
        row = AssignmentRow(count + 1, kind, name, number, said, now, actor.username, None)
        self.assigned[kind].insert(0, row)
        return row

    async def take_back(self, actor: Actor, kind: PlanKind, assignment: int) -> None:
        self._all.check(actor, Permission.EDIT_ASSETS)
        self.assigned[kind] = [row for row in self.assigned[kind] if row.id != assignment]

    async def states(self, actor: Actor, kind: PlanKind) -> list[PlanState]:
        gateways = self._all.check(actor, Permission.READ).gateways
        return [self._state(kind, gateway) for gateway in gateways]

    def _state(self, kind: PlanKind, gateway: str) -> PlanState:
        rows = [row for row in self.assigned[kind] if row.query.get("gateway") in (None, gateway)]
        plan = rows[0] if rows else None
        known = gateway == KNOWN
        reported: dict[str, Any] = REPORTED if kind == "schedule" else {"hesper-sim": 44}
        wanted: dict[str, Any] | None = None
        if plan is not None:
            kept = self.versions_of[kind, plan.name]
            document = next(row.document for row in kept if row.version == plan.version)
            wanted = document if kind == "schedule" else {plan.name: 44}
        same = wanted is None or wanted.items() <= reported.items()
        return PlanState(
            gateway,
            plan.name if plan else None,
            plan.version if plan else None,
            wanted,
            reported if known else None,
            datetime.now(UTC).replace(microsecond=0) - timedelta(days=2) if known else None,
            None,
            ("as desired" if same else "differs") if known else "unknown",
        )


class Sending:
    """Asks the known gateway, and says of the others that their file is not known."""

    def __init__(self, all_: DoubleServices) -> None:
        self._all = all_

    async def send(self, actor: Actor, name: str, reason: str, key: str) -> Sent:
        commands: list[CommandRow] = []
        skipped: dict[str, str] = {}
        for state in await self._all.plans.states(actor, "schedule"):
            if state.desired_name != name or state.state == "as desired":
                continue
            if state.reported is None:
                words = "its present file is not known here; send one as a whole"
                skipped[state.gateway] = words
                continue
            text = FILE.format(gateway=state.gateway)
            wish = CommandWish(
                "gateway.configure", "", {"toml": text}, reason, gateway=state.gateway
            )
            made = await self._all.commands.request(actor, wish, f"{key}-{state.gateway}")
            commands.append(replace(made))
        return Sent(commands, skipped)
