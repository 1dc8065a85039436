"""Readings brought over HTTP by meters and systems that do not speak MQTT."""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from hesper_contracts.batch import MAX_PAYLOAD
from hesper_contracts.topics import METER
from pydantic import BaseModel

from hesper_cloud.api.who import Have, Who
from hesper_cloud.api.wire import answer
from hesper_cloud.services.errors import TooLarge
from hesper_cloud.worded import worded

router = APIRouter(tags=["meters"])
_BATCH: dict[str, Any] = {
    "type": "object",
    "description": "The plain JSON form of a readings batch (docs/mqtt-api.md).",
    "required": ["kind", "version", "readings"],
    "properties": {
        "kind": {"const": "readings"},
        "version": {"const": 1},
        "batch": {
            "type": "object",
            "description": "Its identity; without one it has one of its digest.",
            "required": ["epoch", "sequence"],
            "properties": {
                "epoch": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
                "sequence": {"type": "integer", "minimum": 0},
            },
        },
        "received_at": {"type": "string", "format": "date-time"},
        "readings": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["meter", "captured_at", "values"],
                "properties": {
                    "meter": {"type": "string", "pattern": f"^{METER.pattern}$"},
                    "captured_at": {"type": "string", "format": "date-time"},
                    "profile": {"type": "string"},
                    "clock_status": {"type": "integer"},
                    "quality": {"type": "integer"},
                    "values": {
                        "type": "object",
                        "description": "By logical name: [integer, scaler, unit]",
                        "additionalProperties": {
                            "type": "array",
                            "items": {"type": ["integer", "null"]},
                            "minItems": 3,
                            "maxItems": 3,
                        },
                    },
                },
            },
        },
    },
}
_EXAMPLE = {
    "kind": "readings",
    "version": 1,
    "batch": {"epoch": "0123456789abcdef", "sequence": 1},
    "readings": [
        {
            "meter": "HES12642984",
            "captured_at": "2026-11-20T12:00:00Z",
            "values": {"1.0.1.8.0.255": [1_000_125, 0, 30], "1.0.32.7.0.255": [2301, -1, 35]},
        }
    ],
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _BATCH, "example": _EXAMPLE}},
    }
}


class ReceiptShown(BaseModel):
    """What became of the batch, told after its durable commit; ``digest`` is SHA-256 of it."""

    gateway: str
    epoch: str
    sequence: int
    digest: str
    verdict: Literal["stored"]


@router.post("/meters/data-ingestion", response_model=ReceiptShown, openapi_extra=_BODY)
async def bring(request: Request, actor: Who, services: Have) -> Response:
    """Takes a batch of readings, with a service token whose scope is to bring readings.

    200 means that it is durable, as a receipt does over MQTT. The same octets may be sent again:
    they are stored once. What cannot be decoded is kept as a dead letter and refused.
    """
    return answer(await services.data_ingestion.bring(actor, await _octets(request)))


async def _octets(request: Request) -> bytes:
    octets = bytearray()
    async for chunk in request.stream():
        octets += chunk
        if len(octets) > MAX_PAYLOAD:
            raise TooLarge(
                worded("a batch has at most {max_payload} octets", max_payload=MAX_PAYLOAD)
            )
    return bytes(octets)
