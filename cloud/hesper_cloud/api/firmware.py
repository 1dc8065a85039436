"""Firmware images: first the manifest that two release keys have signed, then the octets."""

from fastapi import APIRouter, Request, Response

from hesper_cloud.accounts.roles import Permission
from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.images.changelog import LONGEST
from hesper_cloud.services.images import MANIFEST_MAX, manifest_of
from hesper_cloud.services.sources import require

router = APIRouter(prefix="/firmware", tags=["firmware"])


@router.get("/images")
async def images(actor: Who, services: Have) -> Response:
    """Lists the images that are kept."""
    return answer(await services.images.all(actor))


@router.post("/images", status_code=201)
async def announce(actor: Who, services: Have, request: Request) -> Response:
    """Takes a manifest as `hesper-cloud image sign` writes it; the octets may follow."""
    require(actor, Permission.REQUEST_COMMAND)
    body = await _beginning(request, MANIFEST_MAX)
    return answer(await services.images.announce(actor, manifest_of(body)), 201)


@router.put("/images/{image_hash}/changelog")
async def describe(actor: Who, services: Have, image_hash: str, request: Request) -> Response:
    """Takes what is new in an image, a text in UTF-8, in the place of what was told before."""
    require(actor, Permission.REQUEST_COMMAND)
    text = await _beginning(request, LONGEST)
    return answer(await services.images.describe(actor, image_hash, text))


@router.put("/images/{image_hash}")
async def fill(actor: Who, services: Have, image_hash: str, request: Request) -> Response:
    """Takes the octets of an image; kept only if they are what the manifest says."""
    return answer(await services.images.fill(actor, image_hash, request.stream()))


async def _beginning(request: Request, most: int) -> bytes:
    """Reads a small body; of one that is longer at least an octet too many, for its refusal."""
    body = b""
    async for some in request.stream():
        body += some
        if len(body) > most:
            break
    return body
