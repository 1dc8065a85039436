"""The typed client: generated from the description, checked by mypy, used against a head end."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hesper_lab import client as generator


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generator.generate(tmp_path_factory.mktemp("generated"))


def test_it_passes_strict_type_checks(package):
    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-incremental", "-p",
         package.name],
        cwd=package.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout[-3000:]


def test_it_speaks_to_a_running_head_end(house, package, monkeypatch):
    monkeypatch.syspath_prepend(str(package.parent))

    def of(name: str) -> Any:
        return importlib.import_module(f"{generator.PACKAGE}.{name}")

    models = of("models")
    body = models.Credentials(username="ann", password="asking-politely-1")
    with of("client").Client(base_url=house.url) as anonymous:
        logged_in = of("api.auth.post_auth_login").sync(client=anonymous, body=body)
    assert isinstance(logged_in, models.LoggedIn)
    known = of("client").AuthenticatedClient(base_url=house.url, token=logged_in.token)
    with known as client:
        page = of("api.meters.get_meters").sync(
            client=client, limit=1, sort=models.GetMetersSort.ID
        )
        assert isinstance(page, models.PageMeterRow), page
        assert (page.rows[0].id, page.total) == ("HES12642984", 2)
        rest = of("api.meters.get_meters").sync(client=client, limit=1, cursor=page.next_)
        assert isinstance(rest, models.PageMeterRow), rest
        assert [row.id for row in rest.rows] == ["HES12642985"]
        asked = of("api.meters.post_meters_by_meter_id_read").sync(
            "HES12642984", client=client, body=models.ReadWish(), idempotency_key="once"
        )
        assert isinstance(asked, models.CommandRow)
        assert asked.kind == "read.registers"
        problem = of("api.commands.get_commands_by_command_id").sync("none", client=client)
        assert isinstance(problem, models.Problem)
        assert problem.status == 404


def test_a_generator_that_leaves_something_out_is_no_success(monkeypatch, tmp_path):
    body = {"application/x-strange-form": {"schema": {"type": "string"}}}
    operation = {"requestBody": {"content": body}, "responses": {"200": {"description": "ok"}}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Hesper", "version": "0"},
        "paths": {"/x": {"post": operation}},
    }
    monkeypatch.setattr(generator, "description", lambda: document)
    with pytest.raises(generator.NotGenerated, match="/x"):
        generator.generate(tmp_path)
    assert not (tmp_path / generator.PACKAGE).exists()
