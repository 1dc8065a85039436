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
