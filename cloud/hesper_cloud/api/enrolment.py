"""A device enrols under a gateway's name; its token takes the place of a login."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Base64Bytes, BaseModel, Field, SecretStr

from hesper_cloud.api.who import Have

router = APIRouter(prefix="/enrolment", tags=["enrolment"])
_OCTETS = "application/octet-stream"


class AskToEnrol(BaseModel):
    """A token, and the ask that the device signed (base64); `docs/mqtt-api.md` has both forms."""

    token: Annotated[SecretStr, Field(max_length=200)]
    ask: Annotated[Base64Bytes, Field(max_length=4000)]


@router.post("", response_class=Response, responses={200: {"content": {_OCTETS: {}}}})
async def enrol(request: Request, wanted: AskToEnrol, services: Have) -> Response:
    """Puts the device's key on record and answers with its configuration, signed and sealed."""
    source = request.client.host if request.client else "unknown"
    token = wanted.token.get_secret_value()
    octets = await services.enrolments.enrol(token, wanted.ask, source)
    return Response(octets, media_type=_OCTETS, headers={"Cache-Control": "no-store"})
