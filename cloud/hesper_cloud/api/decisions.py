"""Release from quarantine, break-glass and its reviews, second factors, the policy in force."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, Field, SecretStr

from hesper_cloud.api.proven import Proven
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.records import BreakGlassRow, CommandRow, CommandWish, NewFactor

router = APIRouter(tags=["decisions"])


class Emergency(Proven):
    """What one person does alone; the authority's policy says which kinds, and how often."""

    kind: str = Field(default="relay.disconnect", max_length=64)
    meter: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    reason: str = Field(min_length=3, max_length=500)
    serial_tail: str = ""


class Review(Proven):
    """What somebody else's use of break-glass was."""

    verdict: Literal["justified", "misused"]
    reason: str = Field(min_length=3, max_length=500)


class Enrolment(Proven):
    """A factor that was shown, with its first code; ``code`` is of the one that it replaces."""

    secret: SecretStr
    recovery_codes: list[SecretStr] = Field(max_length=20)
    first_code: SecretStr


class Factor(BaseModel):
    """Whether this account gives a code beside its password."""

    enrolled: bool


@router.post("/commands/{command_id}/release", response_model=CommandRow)
async def release(actor: Who, services: Have, command_id: str, body: Proven) -> Response:
    """Says yes to a quarantined command; the second approver's yes lets it go."""
    await services.decisions.release(actor, command_id, body.proof)
    return answer(await services.commands.get(actor, command_id))


@router.post("/break-glass", response_model=CommandRow, status_code=201)
async def break_glass(
    actor: Who,
    services: Have,
    body: Emergency,
    idempotency_key: Annotated[str, Header(alias="Idempotency-Key", max_length=128)] = "",
) -> Response:
    """Lets a command go without a second person, in an emergency."""
    if not idempotency_key:
        raise Invalid("send an Idempotency-Key header, so that a repeat makes no second command")
    wish = CommandWish(body.kind, body.meter, body.parameters, body.reason, body.serial_tail)
    command = await services.decisions.break_glass(actor, wish, body.proof, idempotency_key)
    return answer(await services.commands.get(actor, command), 201)


@router.get("/break-glass", response_model=list[BreakGlassRow])
async def broken(actor: Who, services: Have, unreviewed: bool = False) -> Response:
    """Lists every use of break-glass, newest first."""
    return answer(await services.decisions.broken(actor, unreviewed=unreviewed))


@router.post("/break-glass/{command_id}/review", status_code=204)
async def review(actor: Who, services: Have, command_id: str, body: Review) -> Response:
    """Signs a review; it must be another person than the one who broke the glass."""
    await services.decisions.review(actor, command_id, body.verdict, body.reason, body.proof)
    return Response(status_code=204)


@router.get("/policy")
async def policy(actor: Who, services: Have) -> Response:
    """Shows the rules under which commands leave now."""
    return answer(await services.decisions.policy(actor))


@router.get("/auth/factor", response_model=Factor)
async def factor(actor: Who, services: Have) -> Response:
    """Says whether this account has a second factor."""
    return answer({"enrolled": await services.decisions.has_factor(actor)})


@router.post("/auth/factor/new", response_model=NewFactor)
async def new_factor(actor: Who, services: Have) -> Response:
    """Makes a secret and recovery codes to show; nothing counts before they are put."""
    made = services.decisions.new_factor(actor)
    return Response(
        answer(made).body, media_type="application/json", headers={"Cache-Control": "no-store"}
    )


@router.put("/auth/factor", status_code=204)
async def enrol(actor: Who, services: Have, body: Enrolment) -> Response:
    """Makes a factor count, by the password and the first code that it shows."""
    codes = [each.get_secret_value() for each in body.recovery_codes]
    made = NewFactor(body.secret.get_secret_value(), "", codes)
    first = body.first_code.get_secret_value()
    await services.decisions.enrol(actor, made, first, body.proof)
    return Response(status_code=204)
