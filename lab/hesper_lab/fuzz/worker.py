"""What atheris runs: one target in a process of its own, until its time is over or it falls.

    python -m hesper_lab.fuzz.worker TARGET [libFuzzer options and folders]

Kept apart from `campaign` because libFuzzer ends its process itself, and because instrumentation
has to come before the parsers are imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Final

import atheris

_PARSERS: Final = ["hesper_dlms", "hesper_gateway.explain", "hesper_contracts"]
_MODULES: Final = ("values", "apdus", "links", "sessions", "readable")
"""Where targets are; only what one needs is imported, as to instrument it takes its time."""


def main() -> None:
    """Instrument the parsers, then fuzz."""
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=_PARSERS):
        target = _target(name)
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


def _target(name: str) -> Callable[[bytes], None]:
    modules = (import_module(f"hesper_lab.fuzz.{module}") for module in _MODULES)
    found: Callable[[bytes], None] = next(
        module.TARGETS[name] for module in modules if name in module.TARGETS
    )
    return found


if __name__ == "__main__":
    main()
