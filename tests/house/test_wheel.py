"""What is in the repository is in the wheel: the traps of packages that live in part folders.

A stray module beside a package works in an editable install and is missing from the wheel, and
hatchling skips a folder that is not there without a word.
"""

import subprocess
import sys
from pathlib import Path

import pytest

NOT_SHIPPED = {".pyc", ".log"}


def files_below(folder: Path) -> set[Path]:
    return {
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in NOT_SHIPPED and "__pycache__" not in path.parts
    }


def test_no_package_folder_is_missing(root, packages):
    assert [package for package in packages if not (root / package / "__init__.py").is_file()] == []


def test_every_part_folder_is_known(root, packages, project):
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    found = {path.parent.relative_to(root) for path in root.glob("*/hesper_*/__init__.py")}
    assert found == set(packages)
    assert sorted(wheel["dev-mode-dirs"]) == sorted({str(package.parent) for package in packages})
    assert sorted(project["tool"]["mypy"]["packages"]) == sorted(p.name for p in packages)
    assert sorted(project["tool"]["importlinter"]["root_packages"]) == sorted(
        package.name for package in packages
    )


def test_every_file_of_every_package_is_in_the_wheel(root, packages, wheel):
    wanted = {
        str(path.relative_to((root / package).parent))
        for package in packages
        for path in files_below(root / package)
    }
    assert wanted - wheel.names == set()
    assert len(wanted) > 300


def test_nothing_else_is_in_the_wheel(packages, wheel):
    names = {package.name for package in packages}
    others = {name for name in wheel.names if name.split("/")[0] not in names}
    assert all(".dist-info/" in name for name in others)
    assert any(name.endswith("licenses/LICENSE") for name in others)


def test_no_stray_module_lies_beside_a_package(root, packages):
    packed = set().union(*(files_below(root / package) for package in packages))
    stray = {
        str(path.relative_to(root))
        for package in packages
        for path in files_below((root / package).parent) - packed
        if path.suffix == ".py"
    }
    assert stray == set()


def test_every_package_is_typed(packages, wheel):
    assert {f"{package.name}/py.typed" for package in packages} <= wheel.names


@pytest.mark.parametrize(
    "package",
    [
        "contracts/hesper_entry", "contracts/hesper_contracts", "dlms/hesper_dlms",
        "gateway/hesper_gateway", "cloud/hesper_cloud", "ui/hesper_ui", "lab/hesper_lab",
    ],
)  # fmt: skip
def test_a_package_is_not_importable_through_its_folder(root, package):
    part, name = package.split("/")
    ended = subprocess.run(
        [sys.executable, "-c", f"import {part}.{name}"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert f"ImportError: import {name}, not {part}.{name}" in ended.stderr
