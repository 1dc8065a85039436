"""Each extra suffices for its part: nothing of another extra is imported by it.

The distributions that an extra brings are worked out from the installed metadata; in a child
process every other distribution is made impossible to import, and then each module of the part is.
"""

import json
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PARTS = {
    "": ("hesper_contracts", "hesper_dlms"),
    "gateway": ("hesper_contracts", "hesper_dlms", "hesper_gateway"),
    "cloud": ("hesper_contracts", "hesper_cloud"),
    "ui": ("hesper_contracts", "hesper_cloud", "hesper_ui"),
    "sim": ("hesper_dlms", "hesper_sim"),
    "lab": tuple(f"hesper_{part}" for part in ("contracts", "cloud", "ui", "sim", "lab")),
}
# Modules that ask for more than their part's extra, each with the reason.
EXCEPT = {
    "hesper_contracts.columns": "numpy: the cloud's decoder, never imported by a gateway",
    "hesper_contracts.column_streams": "numpy: a part of it",
    "hesper_contracts.json_columns": "numpy: the same for the JSON form",
    "hesper_contracts.json_layout": "numpy: the same for readings of one form",
    "hesper_contracts.json_holes": "numpy: a part of it",
    "hesper_contracts.lone_sections": "numpy: the same for batches of single meters",
    "hesper_cloud.migrations": "run by Alembic, which fills in its context",
    "hesper_lab.screenshots": "drives a browser: extra dev",
    "hesper_lab.bench": "measures beside its peers: extra dev",
    "hesper_lab.fuzz.worker": "run by atheris: extra dev",
    "hesper_gateway.engines.gurux_worker": "a program of its own, asked over pipes: extra gurux",
}
SCRIPTS = {
    "hesper-dlms": "explain",
    "hesper-gateway": "keygen",
    "hesper-cloud": "authority",
    "hesper-sim": "serve",
    "hesper-lab": "demo",
}
IMPORT_ALL = """
import importlib, json, pkgutil, sys
blocked, parts, skipped = map(set, json.loads(sys.argv[1]))

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} belongs to another extra", name=name)

sys.meta_path.insert(0, Blocked())
count = 0
for part in sorted(parts):
    package = importlib.import_module(part)
    for found in pkgutil.walk_packages(package.__path__, part + "."):
        if any(found.name == name or found.name.startswith(name + ".") for name in skipped):
            continue
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
            count += 1
print(count)
"""


def brought_by(extra: str) -> set[str]:
    """Return the canonical names of the distributions that ``hesper[extra]`` installs."""
    found: set[tuple[str, str]] = set()
    waiting = [("hesper", extra), ("hesper", "")]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in found:
            continue
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # optional for this platform
        found.add((name, wanted))
        for requirement in map(Requirement, requires):
            if requirement.marker is None or requirement.marker.evaluate({"extra": wanted}):
                needed = canonicalize_name(requirement.name)
                waiting += [(needed, ""), *((needed, each) for each in requirement.extras)]
    return {name for name, _ in found}


owners_of_packages = cache(packages_distributions)


def import_packages_outside(extra: str) -> set[str]:
    """Return the top-level import packages that belong to no distribution of this extra."""
    allowed = brought_by(extra)
    return {
        package
        for package, owners in owners_of_packages().items()
        if not allowed & {canonicalize_name(owner) for owner in owners}
    }


@pytest.mark.parametrize("extra", PARTS)
def test_a_part_imports_with_its_own_extra_alone(extra):
    blocked = import_packages_outside(extra)
    assert "pytest" in blocked
    wanted = EXCEPT if extra != "cloud" else {"hesper_cloud.migrations"}
    arguments = json.dumps([sorted(blocked), PARTS[extra], sorted(wanted)])
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, arguments], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 10


def test_the_gateway_is_free_of_what_a_pi_should_not_carry():
    heavy = {"duckdb", "numpy", "fastapi", "nicegui", "sqlalchemy", "pyarrow", "gurux_dlms"}
    assert heavy <= import_packages_outside("gateway")


AS_THE_AUTHORITY = """
import sys
from pathlib import Path
from hesper_cloud import process_commands
from hesper_cloud.authority import process

process.run = lambda *_: print(*sys.modules)
process_commands.authority(Path(sys.argv[1]))
"""


def test_the_authority_starts_without_what_web_and_store_need(tmp_path):
    """It decides about supplies: what it does not load cannot keep it from starting."""
    heavy = {"duckdb", "fastapi", "fsspec", "numpy", "prometheus_client", "pyarrow", "uvicorn"}
    config = tmp_path / "cloud.toml"
    config.write_text('state = "state"\n')
    ended = subprocess.run(
        [sys.executable, "-c", AS_THE_AUTHORITY, config],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = set(ended.stdout.split())
    assert "hesper_cloud.authority.process" in loaded
    assert heavy & loaded == set()


def test_gurux_is_brought_by_its_own_extra_alone():
    assert [extra for extra in PARTS if "gurux-dlms" in brought_by(extra)] == []


@pytest.mark.parametrize(("script", "knows"), SCRIPTS.items())
def test_a_console_script_says_what_it_does(programs, project, script, knows):
    assert project["project"]["scripts"].keys() == SCRIPTS.keys()
    ended = subprocess.run(
        [programs / script, "--help"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert knows in ended.stdout


def install(python: Path, root: Path, what: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet",
         "--disable-pip-version-check", "--no-compile",
         "--constraint", root / "constraints.txt", what],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def registry_answers(folder: Path) -> bool:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "0"]
    asked = subprocess.run(
        [*command, "--dest", folder, "pyserial"], capture_output=True, check=False
    )
    return asked.returncode == 0


@pytest.mark.integration
def test_a_gateway_installs_from_the_wheel_into_a_clean_environment(tmp_path, root, wheel):
    if not registry_answers(tmp_path):
        pytest.skip("no package registry is reachable from here")
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    done = install(python, root, f"{wheel.path}[gateway]")
    assert done.returncode == 0, done.stderr
    for script in ("hesper-gateway", "hesper-dlms"):
        command = [environment / "bin" / script, "--help"]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert module_is_there(python, "hesper_gateway.app")
    for other in ("numpy", "duckdb", "fastapi", "nicegui", "sqlalchemy"):
        assert not module_is_there(python, other)


def module_is_there(python: Path, name: str) -> bool:
    command = [python, "-c", f"import {name}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
