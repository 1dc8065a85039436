"""cloud.toml: what cannot work is refused before anything starts, with its place and no value."""

from pathlib import Path

import pytest
from hesper_cloud.settings import BadSettings, Settings

EXPORT = '[[exports.scheduled]]\nname = "mdm"\nformat = "{}"\ntarget = "/mnt/{}"\n'
LEVEL = '[[service_levels.levels]]\nname = "fast"\nkind = "days"\ntarget_percent = {}\n'


def refusal(folder: Path, text: str) -> str:
    """What is said of a cloud.toml that is refused."""
    file = folder / "cloud.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadSettings) as refused:
        Settings.load(file)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "place", "name"),
    [
        (EXPORT.format("csv", "a") + EXPORT.format("parquet", "b"), "exports.scheduled", "mdm"),
        (LEVEL.format(98) + LEVEL.format(99), "service_levels.levels", "fast"),
    ],
)
def test_a_name_that_is_used_twice_is_refused(
    tmp_path: Path, text: str, place: str, name: str
) -> None:
    """Windows and figures are kept by name: one of two would have no more than the other left."""
    said = refusal(tmp_path, text)
    assert said == f"{tmp_path / 'cloud.toml'}: {place}: the name '{name}' is used twice"


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("web", "port = 99999"),
        ("web", "session_hours = 0"),
        ("web", "token_minutes = 0"),
        ("web", 'allowed_origins = ["hes.example"]'),
        ("broker", "port = 0"),
        ("broker", "port = 70000"),
        ("broker", 'host = ""'),
        ("database", 'url = "hesper"'),
        ("database", 'authority_url = "postgres://hesper:SECRET@db/hesper"'),
        ("ingest", "group_max_messages = 0"),
        ("ingest", "group_linger_ms = -1"),
        ("rules", "default_capture_period_s = 0"),
        ("rules", "silent_after_periods = 0"),
        ("tracing", 'endpoint = "127.0.0.1:4318"'),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(
    tmp_path: Path, section: str, line: str
) -> None:
    """A port beyond 65535 would be another one; of no messages there would be no group."""
    said = refusal(tmp_path, f"[{section}]\n{line}\n")
    assert said.startswith(f"{tmp_path / 'cloud.toml'}: {section}.{line.split()[0]}: ")
    assert "SECRET" not in said


def test_a_file_that_an_editor_of_windows_wrote_is_read(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_bytes(b"\xef\xbb\xbf[broker]\r\nport = 8884\r\n")
    assert Settings.load(file).broker.port == 8884


@pytest.mark.parametrize("url", ["postgresql+psycopg://hesper@db/hesper", "sqlite:////srv/h.db"])
def test_databases_that_we_speak_are_taken(tmp_path: Path, url: str) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text(f'[database]\nurl = "{url}"\n', encoding="utf-8")
    assert Settings.load(file).database.url == url


def test_a_variable_that_does_not_fit_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HESPER_WEB__PORT", "http")
    assert refusal(tmp_path, "[web]\nport = 8080\n").startswith("HESPER_WEB__PORT: web.port: ")


def test_a_list_in_a_variable_that_is_no_json_is_said_without_its_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HESPER_WEB__BEHIND_PROXY", "10.0.0.1")
    said = refusal(tmp_path, "")
    assert '"web"' in said
    assert "JSON" in said
    monkeypatch.delenv("HESPER_WEB__BEHIND_PROXY")
    monkeypatch.setenv("HESPER_DATABASE", "postgresql+psycopg://hesper:SECRET@db/hesper")
    assert "SECRET" not in refusal(tmp_path, "")
