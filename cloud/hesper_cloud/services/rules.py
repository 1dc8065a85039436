"""Rules: listed, edited as versions, switched, and tried on history before they are switched on."""

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.rules import Rule
from hesper_cloud.long_jobs.asking import Wish, ask
from hesper_cloud.rules import built_in, editing, trials
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.definition import BuiltIn, Definition, State
from hesper_cloud.services import rule_rows
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Invalid, NotFound, Refused, Stale
from hesper_cloud.services.rule_checks import as_it_is, check_editable, report_of, report_of_job
from hesper_cloud.services.rule_records import FiringRow, RuleRow, RuleVersionRow, TryReport
from hesper_cloud.services.scope import require_everywhere
from hesper_cloud.services.sources import Sources, epoch, require
from hesper_cloud.settings import RuleSettings
from hesper_cloud.worded import worded

T = TypeVar("T")
LONGEST_TRY_S = 400 * 86_400
_AUDITED = 400
RuleRows = list[RuleRow]
RuleVersions = list[RuleVersionRow]
Firings = list[FiringRow]


class Rules:
    """Keeps rules in the name of actors; every change is audited first."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._link = link
        self._alerts = Alerts(sources.registry, sources.clock)

    async def list(self, actor: Actor) -> RuleRows:
        """Returns all rules: those that are data first, then those that are code."""
        require(actor, Permission.READ)
        return await self._read(lambda session: rule_rows.rows(session, self._settings))

    async def get(self, actor: Actor, rule: str) -> RuleRow:
        """Returns one rule.

        Raises:
            NotFound: there is none of this name.
        """
        require(actor, Permission.READ)
        found = await self._read(lambda session: rule_rows.rows(session, self._settings, rule))
        if not found:
            raise NotFound(worded("there is no rule {rule}", rule=rule[:64]))
        return found[0]

    async def versions(self, actor: Actor, rule: str) -> RuleVersions:
        """Returns every version of a rule, newest first, also of one that was deleted."""
        require(actor, Permission.READ)
        found = await self._read(lambda session: rule_rows.versions(session, rule))
        if not found:
            await self.get(actor, rule)
        return found

    async def trial_alerts(self, actor: Actor, rule: str) -> Firings:
        """Returns what a rule on trial would have raised, newest first."""
        require_everywhere(actor, "a rule's trial")
        await self.get(actor, rule)
        return await self._read(lambda session: rule_rows.trials(session, rule))

    def understood(self, said: Mapping[str, Any]) -> Definition:
        """Returns what a document says.

        Raises:
            Invalid: it is no rule; the text says which field, and what is wrong with it.
        """
        try:
            return Definition.model_validate(said)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(each) for each in first["loc"]) or "the rule"
            raise Invalid(worded("{field}: {msg}", field=field, msg=first["msg"])) from None

    async def save(
        self, actor: Actor, rule: str, said: Definition, note: str, version: int | None
    ) -> RuleRow:
        """Writes a rule's next version; a new rule is off, another stays in its state.

        Raises:
            Invalid: the name or what it says cannot be.
            Refused: this rule's thresholds are set elsewhere.
            Stale: somebody else edited it since ``version``.
        """
        require(actor, Permission.EDIT_RULES)
        require_everywhere(actor, "rules")
        code = built_in.rules(self._settings).get(rule)
        check_editable(rule, code, said)
        before = await self._read(lambda session: _version(session, rule))
        await self._note(actor, "rule.edit", rule, (f"version {before}", _shortly(said)), note)
        by = (actor.username, self._sources.clock(), note)

        def commit(session: Session) -> None:
            _check_same(session, rule, version)
            row = editing.save(session, self._alerts, rule, said, by)
            if code is not None and row.version == 1:
                row.state = "on"

        await self._write(commit)
        return await self.get(actor, rule)

    async def set_state(
        self, actor: Actor, rule: str, state: State, note: str, version: int | None
    ) -> RuleRow:
        """Switches a rule; what it has raised is cleared, and it begins anew.

        Raises:
            Refused: this rule is always on, or cannot be tried.
            Stale: somebody else edited it since ``version``.
        """
        require(actor, Permission.EDIT_RULES)
        require_everywhere(actor, "rules")
        before = await self.get(actor, rule)
        if before.built_in and (state == "trial" or not before.can_be_off):
            raise Refused(f"{before.title} is code; it is on" + ", or off" * before.can_be_off)
        await self._note(actor, "rule.state", rule, (before.state, state), note)
        by = (actor.username, self._sources.clock())

        def commit(session: Session) -> None:
            _check_same(session, rule, version)
            if session.get(Rule, rule) is None:
                said = as_it_is(built_in.rules(self._settings)[rule])
                editing.save(session, self._alerts, rule, said, (*by, "as it came"))
            editing.set_state(session, self._alerts, rule, state, by)

        await self._write(commit)
        return await self.get(actor, rule)

    async def delete(self, actor: Actor, rule: str, note: str, version: int | None) -> None:
        """Ends a rule that is data; what it has raised is cleared, its versions stay.

        Raises:
            NotFound: there is none of this name.
            Refused: it is code.
            Stale: somebody else edited it since ``version``.
        """
        require(actor, Permission.EDIT_RULES)
        require_everywhere(actor, "rules")
        before = await self.get(actor, rule)
        if before.built_in:
            raise Refused(
                f"{before.title} is code and stays" + "; switch it off" * before.can_be_off
            )
        await self._note(actor, "rule.delete", rule, (f"version {before.version}", "deleted"), note)
        at = self._sources.clock()

        def commit(session: Session) -> None:
            if _version(session, rule) == 0:
                raise NotFound(worded("there is no rule {rule}", rule=rule[:64]))
            _check_same(session, rule, version)
            editing.delete_rule(session, self._alerts, rule, at)

        await self._write(commit)

    async def try_stored(
        self, actor: Actor, rule: str, start: datetime, end: datetime
    ) -> TryReport:
        """Tries a rule as it stands on a range of history."""
        require(actor, Permission.EDIT_RULES)
        row = await self.get(actor, rule)
        if row.built_in or row.definition is None:
            raise Refused(
                worded("{title} is code, which cannot be tried on history", title=row.title)
            )
        return await self.try_(actor, Definition.model_validate(row.definition), start, end)

    async def try_(
        self, actor: Actor, said: Definition, start: datetime, end: datetime
    ) -> TryReport:
        """Tries what a rule would say on a range of history; changes nothing.

        A range with much in it becomes a long job, whose number the report carries.

        Raises:
            Invalid: the range is empty or too long, or the rule is code.
        """
        require(actor, Permission.EDIT_RULES)
        require_everywhere(actor, "a trial on history")
        if isinstance(said.condition, BuiltIn):
            raise Invalid("a rule that is code cannot be tried on history")
        if not 0 < (end - start).total_seconds() <= LONGEST_TRY_S:
            raise Invalid("a range of history has a beginning, an end, and 400 days at most")
        span = (epoch(start), epoch(end))
        sources = self._sources
        work = await asyncio.to_thread(trials.size, sources.registry, said, span)
        if work.is_long:
            return await asyncio.to_thread(self._as_a_job, actor, said, span)
        outcome = await asyncio.to_thread(trials.whole, sources.registry, sources.store, said, span)
        return report_of(outcome, span)

    def _as_a_job(self, actor: Actor, said: Definition, span: tuple[int, int]) -> TryReport:
        parameters = {
            "definition": said.model_dump(mode="json"), "start": span[0], "end": span[1]
        }  # fmt: skip
        wish = Wish(trials.JOB, f"Rule on history: {said.title}", actor.username, parameters)
        with writing(self._sources.registry) as session:
            number = ask(session, wish, self._sources.clock())
        return report_of(trials.Outcome(), span, number)

    async def tried(self, actor: Actor, job: int) -> TryReport:
        """Returns what a trial that became a job found, once it has ended."""
        require(actor, Permission.EDIT_RULES)
        require_everywhere(actor, "a trial on history")
        return await self._read(lambda session: report_of_job(session, actor, job))

    @property
    def _settings(self) -> RuleSettings:
        return self._sources.settings.rules

    async def _read(self, action: Callable[[Session], T]) -> T:
        def run() -> T:
            with reading(self._sources.registry) as session:
                return action(session)

        return await asyncio.to_thread(run)

    async def _write(self, action: Callable[[Session], None]) -> None:
        def run() -> None:
            with writing(self._sources.registry) as session:
                action(session)

        await asyncio.to_thread(run)

    async def _note(
        self, actor: Actor, action: str, rule: str, change: tuple[str, str], why: str
    ) -> None:
        payload = {"action": action, "subject": f"rule {rule}"}
        payload |= {"before": change[0], "after": change[1], "why": why or "no reason given"}
        await self._link.ask(actor, "audit.note", payload, f"rule-{uuid.uuid4().hex}")


def _check_same(session: Session, rule: str, version: int | None) -> None:
    """Checks that a rule is still the one that somebody decided on."""
    if version is not None and _version(session, rule) != version:
        raise Stale(
            worded("rule {rule} was edited meanwhile; fetch it and decide again", rule=rule)
        )


def _version(session: Session, rule: str) -> int:
    row = session.get(Rule, rule)
    return 0 if row is None else row.version


def _shortly(said: Definition) -> str:
    return json.dumps(said.condition.model_dump(mode="json"))[:_AUDITED]
