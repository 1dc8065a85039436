"""A gateway on 64-bit ARM compiles nothing: every requirement has a wheel there."""

from __future__ import annotations

import pytest
from hesper_lab import wheels


@pytest.fixture(scope="module")
def online() -> None:
    """Skips where no package index answers."""
    try:
        wheels.resolve(wheels.ARM64, "3.11", ["typing-extensions"])
    except wheels.Unresolved:
        pytest.skip("the package index cannot be reached")


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("python", wheels.PYTHONS)
def test_everything_a_gateway_needs_is_there_for_arm64(python: str) -> None:
    found = wheels.on_arm64(python)
    needed = ("cryptography", "msgspec", "pydantic_core", "zstandard", "pyserial", "aiomqtt")
    for name in needed:
        assert any(file.startswith(f"{name}-") for file in found.files), name
    assert all(file.endswith((".whl",)) for file in found.files)
    assert all("aarch64" in file or "none-any" in file for file in found.files)


def test_a_requirement_without_a_wheel_is_not_taken() -> None:
    with pytest.raises(wheels.Unresolved):
        wheels.resolve(("manylinux2014_none",), "3.11", ["msgspec"])
