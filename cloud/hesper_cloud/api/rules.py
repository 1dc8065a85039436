"""Rules: listed, edited as versions, switched, deleted, tried on history."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from hesper_cloud.api.versions import WantedVersion, versioned
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.rules.definition import Definition, State
from hesper_cloud.services.rule_records import FiringRow, RuleRow, RuleVersionRow, TryReport

router = APIRouter(prefix="/rules", tags=["rules"])
RuleId = Annotated[str, Path(max_length=64)]
Note = Annotated[str, Field(max_length=400)]
Why = Annotated[str, Query(max_length=400, pattern=r"^[^\x00]*$", description="For the audit log")]
From = Annotated[AwareDatetime, Query(alias="from", description="Beginning of the range")]
To = Annotated[AwareDatetime, Query(alias="to", description="End of the range, left out")]


class Edit(BaseModel):
    """What a rule says from now on, and why."""

    model_config = ConfigDict(extra="forbid")

    definition: Definition
    note: Note = ""


class Switching(BaseModel):
    """Whether a rule is on, off or on trial, and why."""

    state: State
    note: Note = ""


class Draft(BaseModel):
    """A rule that is not saved, and the range of history to try it on."""

    definition: Definition
    start: AwareDatetime = Field(alias="from")
    end: AwareDatetime = Field(alias="to")


@router.get("", response_model=list[RuleRow])
async def rules(actor: Who, services: Have) -> Response:
    """Lists all rules: those that people edit, then those that are code."""
    return answer(await services.rules.list(actor))


@router.post("/try", response_model=TryReport)
async def try_draft(actor: Who, services: Have, body: Draft) -> Response:
    """Tries a rule that is not saved on history; changes nothing."""
    return answer(await services.rules.try_(actor, body.definition, body.start, body.end))


@router.get("/{rule}", response_model=RuleRow)
async def rule(actor: Who, services: Have, rule: RuleId) -> Response:
    """Shows one rule; its ETag begins with its version."""
    found = await services.rules.get(actor, rule)
    return versioned(answer(found), found.version)


@router.put("/{rule}", response_model=RuleRow)
async def save_rule(
    actor: Who, services: Have, rule: RuleId, body: Edit, version: WantedVersion
) -> Response:
    """Writes a rule's next version; a new rule is off until somebody switches it on."""
    found = await services.rules.save(actor, rule, body.definition, body.note, version)
    return versioned(answer(found), found.version)


@router.delete("/{rule}", status_code=204)
async def delete_rule(
    actor: Who, services: Have, rule: RuleId, version: WantedVersion, note: Why = ""
) -> Response:
    """Ends a rule; what it has raised is cleared, its versions stay to be read."""
    await services.rules.delete(actor, rule, note, version)
    return Response(status_code=204)


@router.post("/{rule}/state", response_model=RuleRow)
async def switch_rule(
    actor: Who, services: Have, rule: RuleId, body: Switching, version: WantedVersion
) -> Response:
    """Switches a rule on, off or to trial; what it has raised is cleared."""
    return answer(await services.rules.set_state(actor, rule, body.state, body.note, version))


@router.get("/{rule}/versions", response_model=list[RuleVersionRow])
async def rule_versions(actor: Who, services: Have, rule: RuleId) -> Response:
    """Lists every version of a rule, newest first."""
    return answer(await services.rules.versions(actor, rule))


@router.get("/{rule}/trial", response_model=list[FiringRow])
async def rule_trial(actor: Who, services: Have, rule: RuleId) -> Response:
    """Lists what a rule on trial would have raised, newest first."""
    return answer(await services.rules.trial_alerts(actor, rule))


@router.post("/{rule}/try", response_model=TryReport)
async def try_rule(actor: Who, services: Have, rule: RuleId, start: From, end: To) -> Response:
    """Tries a rule on history; where there is much to look at, `job` is the job that does."""
    return answer(await services.rules.try_stored(actor, rule, start, end))
