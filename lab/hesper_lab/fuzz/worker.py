"""What atheris runs: one target in a process of its own, until its time is over or it falls.

    python -m hesper_lab.fuzz.worker TARGET [libFuzzer options and folders]

Kept apart from `campaign` because libFuzzer ends its process itself, and because instrumentation
has to come before the stack is imported.
"""

from __future__ import annotations

import sys

import atheris


def main() -> None:
    """Instrument the stack, then fuzz."""
    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["hesper_dlms"]):
        from hesper_lab.fuzz.registry import TARGETS
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
