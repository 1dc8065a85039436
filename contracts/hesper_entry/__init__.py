"""How every command of the project starts, and what each of them does alike.

Ctrl-C ends it without a traceback, from the first import on; output that cannot be written is one
line. A command's own modules are imported when it is started, so this package knows none of them.
"""

import os
import signal
import sys
from importlib import import_module
from types import ModuleType
from typing import NoReturn

if __name__ != "hesper_entry":  # through its folder: as the other packages
    raise ImportError(f"import hesper_entry, not {__name__}")


def dlms() -> None:
    """Start `hesper-dlms`."""
    start("hesper-dlms", "hesper_gateway.desk.cli")


def gateway() -> None:
    """Start `hesper-gateway`."""
    start("hesper-gateway", "hesper_gateway.cli")


def cloud() -> None:
    """Start `hesper-cloud`."""
    start("hesper-cloud", "hesper_cloud.cli")


def sim() -> None:
    """Start `hesper-sim`."""
    start("hesper-sim", "hesper_sim.cli")


def lab() -> None:
    """Start `hesper-lab`, which is what `./hesper` runs and people know it by."""
    start("hesper", "hesper_lab.cli")


def start(name: str, module: str) -> None:
    """Import a command's module and call its `main`.

    Args:
        name: What the command is called, for the line that says why it ended.
        module: The module; its `main` takes nothing.
    """
    try:
        try:
            _imported(module).main()
        finally:
            sys.stdout.flush()  # else what it met would be told by the interpreter's end
    except BrokenPipeError:  # whoever read our output has seen enough
        _leave()
    except OSError as error:  # a disk that is full, for one
        sys.stderr.write(f"{name}: {error}\n")
        _leave()


def _imported(module: str) -> ModuleType:
    """Import it; meanwhile Ctrl-C ends the process as it ends a program that does not know it."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return import_module(module)  # a shell's background: it goes on ignoring it
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return import_module(module)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave() -> NoReturn:
    """End with exit code 1; what waits in our buffer has nowhere to go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(1)
