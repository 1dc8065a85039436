"""What a rule may be called and say, and how a trial of it is reported."""

import re

from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.db.long_jobs import DONE, UNENDED, LongJob
from hesper_cloud.rules import trials
from hesper_cloud.rules.built_in import BuiltInRule
from hesper_cloud.rules.definition import BuiltIn, Definition
from hesper_cloud.services.errors import Invalid, NotFound, Refused
from hesper_cloud.services.rule_records import FiringRow, TryReport
from hesper_cloud.worded import worded

ID = re.compile(r"[a-z][a-z0-9-]{1,62}")
TAKEN = re.compile(
    r"alert-flood|archive(-erasure)?|storm|tamper|backup-.*|broker-passwords|delivery-failing"
    r"|export-.*|revocation-list|sim-data-.*"
)
"""Alerts that no rule in the list raises have these names."""


def check_editable(rule: str, code: BuiltInRule | None, said: Definition) -> None:
    if code is None:
        if not ID.fullmatch(rule):
            raise Invalid("a rule's name has 2 to 63 small letters, digits and dashes")
        if TAKEN.fullmatch(rule):
            raise Invalid(
                worded("alerts of Hesper's own are called {rule}; choose another name", rule=rule)
            )
        if isinstance(said.condition, BuiltIn):
            raise Invalid("only a rule that is code has a condition of kind built-in")
        return
    if not code.is_editable or not isinstance(said.condition, BuiltIn):
        where = f" in {code.set_in}" if code.set_in else ""
        raise Refused(
            worded(
                "{title} is code; its thresholds are not edited here{where}",
                title=code.title,
                where=where,
            )
        )
    bounds = {each.name: each for each in code.thresholds}
    for name, value in said.condition.thresholds.items():
        if name not in bounds:
            raise Invalid(
                worded(
                    "{title} has the thresholds {bounds}; not {name!r}",
                    title=code.title,
                    bounds=", ".join(bounds),
                    name=name[:64],
                )
            )
        if not bounds[name].least <= value <= bounds[name].most:
            raise Invalid(
                worded(
                    "{name} is between {least} and {most}",
                    name=name,
                    least=bounds[name].least,
                    most=bounds[name].most,
                )
            )


def as_it_is(code: BuiltInRule) -> Definition:
    thresholds = {each.name: each.default for each in code.thresholds}
    condition = BuiltIn(kind="built-in", thresholds=thresholds)
    return Definition(title=code.title, severity=code.severity, condition=condition)


def report_of_job(session: Session, actor: Actor, job: int) -> TryReport:
    """Returns what a trial that became a job found; it carries the number until it has ended.

    Raises:
        NotFound: the actor asked for no such trial.
        Refused: it failed, or somebody ended it.
    """
    row = session.get(LongJob, job)
    if row is None or row.kind != trials.JOB or row.asked_by != actor.username:
        raise NotFound(worded("you have asked for no trial {job}", job=job))
    span = (int(row.parameters["start"]), int(row.parameters["end"]))
    if row.state in UNENDED:
        return report_of(trials.Outcome(), span, job)
    if row.state != DONE:
        raise Refused(worded("the trial did not end: {problem}", problem=row.problem or row.state))
    return report_of(trials.Outcome(**row.result), span)


def report_of(outcome: trials.Outcome, span: tuple[int, int], job: int | None = None) -> TryReport:
    return TryReport(
        start=trials.utc(span[0]),
        end=trials.utc(span[1]),
        subjects=outcome.subjects,
        looked_at=outcome.looked_at,
        alerts=outcome.alerts,
        alerting=outcome.alerting,
        still_open=outcome.still_open,
        per_bucket=outcome.per_bucket,
        firings=[
            FiringRow(subject, trials.utc(at), None if over is None else trials.utc(over), text)
            for subject, at, over, text in outcome.newest
        ],
        job=job,
    )
