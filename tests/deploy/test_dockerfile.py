"""The images hold their bytecode: a container could write none, and would compile at each start."""

import re
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

UNCHECKED_HASH = (1).to_bytes(4, "little")  # PEP 552


def compilations(root):
    """The options of every `compileall` that the images are built with."""
    text = (root / "deploy/Dockerfile").read_text().replace("\\\n", " ")
    return [found.split() for found in re.findall(r"python -m compileall ([^/\"]+)", text)]


def test_packages_and_library_are_compiled_for_good(root, tmp_path):
    found = compilations(root)
    assert len(found) == 2
    for number, options in enumerate(found):
        module = tmp_path / str(number) / "part.py"
        module.parent.mkdir()
        module.write_text("x = 1\n")
        subprocess.run([sys.executable, "-m", "compileall", *options, module.parent], check=True)
        compiled = Path(cache_from_source(str(module))).read_bytes()
        assert compiled[4:8] == UNCHECKED_HASH


def test_bytecode_is_not_refused(root):
    assert "PYTHONDONTWRITEBYTECODE" not in (root / "deploy/Dockerfile").read_text()
