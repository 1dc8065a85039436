"""NiceGUI's socket library is loaded without what only clients of it need.

It is client and server in one, and the client's HTTP libraries take a fifth of a second to load,
with certificates that nobody here asks for. Whoever needs them for something else still gets them.
"""

import sys
from importlib import import_module
from typing import Any

_FOR_CLIENTS = ("aiohttp", "requests")


def load() -> None:
    """Loads Engine.IO as if those libraries were not installed, which it is prepared for."""
    modules: dict[str, Any] = sys.modules
    absent = [name for name in _FOR_CLIENTS if name not in modules]
    modules.update(dict.fromkeys(absent))  # to import None is a ModuleNotFoundError
    try:
        import_module("engineio")
    finally:
        for name in absent:
            del modules[name]
