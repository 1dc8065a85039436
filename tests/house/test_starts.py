"""What a command starts without: who waits for it is at a meter, often on a small machine."""

import subprocess
import sys

import pytest

WITHOUT = {
    "hesper_cloud.cli": {"cryptography", "pydantic", "sqlalchemy", "hesper_cloud.provision"},
    "hesper_gateway.desk.cli": {"asyncio", "pydantic", "hesper_gateway.templates"},
    "hesper_sim.cli": {"asyncio", "cryptography", "hesper_sim.app", "hesper_sim.meter"},
}


@pytest.mark.parametrize("module", WITHOUT)
def test_a_command_starts_without_what_few_uses_of_it_need(module):
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert WITHOUT[module] & set(ended.stdout.split()) == set()
