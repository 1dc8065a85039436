"""Bodies that are read whole."""

from starlette.requests import Request

from hesper_cloud.services.errors import Invalid
from hesper_cloud.worded import worded


async def octets_of(request: Request, most: int) -> bytes:
    """Returns a request's body.

    Raises:
        Invalid: it has more than ``most`` octets.
    """
    octets = bytearray()
    async for chunk in request.stream():
        octets += chunk
        if len(octets) > most:
            raise Invalid(worded("send at most {most} octets at a time", most=most))
    return bytes(octets)
