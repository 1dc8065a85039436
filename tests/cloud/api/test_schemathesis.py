"""The whole API against its own description: no 5xx, and no answer that it does not describe.

Schemathesis makes requests out of the description, right ones and wrong ones, the same in every
run. They are made in this process, by an admin, while the authority is away.
"""

import contextlib
import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.api.application import create_app
from hesper_cloud.api.who import actor_of
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.engines import open_engine
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import Settings
from hesper_cloud.stores.duckdb import DuckDbStore
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = 1
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
AWAY = {503}  # the authority is, and every route that needs it says so


@pytest.fixture(scope="module")
def app(tmp_path_factory, prepared_state, head_end_class, gateway_signer) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("described") / "state"
    shutil.copytree(prepared_state, folder)
    head_end = head_end_class(Settings(state=folder), gateway_signer, now_utc)
    registry = head_end.databases.registry
    store = DuckDbStore(head_end.settings.readings_file)
    authority = open_engine(head_end.settings.database.authority_url, read_only=True)
    sources = Sources(head_end.settings, registry, authority, store, LatestValues(), now_utc)
    services = assemble(sources, lambda: 0.0)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"WAIT": timedelta(0), "_IN_HAND_S": 0.0, "_LONGER": {}}.items():
            patch.setattr(f"hesper_cloud.services.authority_link.{name}", value)
        made = create_app(services, head_end.settings)
        made.dependency_overrides[actor_of] = lambda: Actor("cleo", Role.ADMIN)
        yield made
    services.energy.close()
    store.close()
    authority.dispose()
    head_end.close()


class Answering:
    """The application as a server runs it: what it raises has been answered with 500 already."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(Exception):
            await self._app(scope, receive, send)


def failures(operation: Any, mode: GenerationMode) -> list[str]:
    """Makes a few requests to an operation; returns what was wrong with the answers."""
    found: list[str] = []

    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        answer = case.call()
        if answer.status_code in AWAY:
            return
        try:
            case.validate_response(answer, checks=CHECKS)
        except (FailureGroup, AssertionError) as failure:
            found.append(f"{operation.label} {answer.status_code}: {failure}")

    call()
    return found


def test_no_request_gets_a_5xx_or_an_answer_that_is_not_described(app):
    schema = schemathesis.openapi.from_dict(app.openapi())
    schema.app = Answering(app)
    found: list[str] = []
    for result in schema.get_all_operations():
        operation = result.ok()
        found += failures(operation, GenerationMode.POSITIVE)
        if operation.body or operation.query:
            found += failures(operation, GenerationMode.NEGATIVE)
    assert not found, f"{len(found)} failures\n\n" + "\n\n".join(found[:40])
