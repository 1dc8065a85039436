"""For those who watch the service: is it well, and its numbers."""

import asyncio

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud.api.who import Have
from hesper_cloud.api.wire import answer
from hesper_cloud.metrics import STORE_ANSWERS, value
from hesper_cloud.rules.own_links import is_connected

router = APIRouter()


@router.get("/health")
async def health(services: Have) -> Response:
    """Says ``ok`` with 200 when databases, broker and store answer, else which not, with 503."""
    sources = services.sources
    checks = {
        "registry": await asyncio.to_thread(_answers, sources.registry),
        "authority_database": await asyncio.to_thread(_answers, sources.authority),
        "broker": is_connected(),
        "store": value(STORE_ANSWERS) != 0.0,
    }
    well = all(checks.values())
    body = {"status": "ok" if well else "degraded", "checks": checks}
    return answer(body, 200 if well else 503)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics() -> Response:
    """Shows counters and gauges in Prometheus' text format."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _answers(engine: Engine) -> bool:
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return False
    return True
