"""FastAPI's fields are worked out when they are first asked about, not when they are declared.

Theory of operation. Each parameter, body and answer of a route has a validator, which Pydantic
compiles: twelve hundred of them, for FastAPI makes each twice, when a route is declared and when
its router is included. That was a seventh of the head end's start, for routes that are called now
and then. Here a validator is compiled when it is first used, which takes a millisecond of a route's
first call. Another release of FastAPI than the one that was looked at may make them elsewhere, so
its fields are its own.
"""

import logging
import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import fastapi
from fastapi._compat import v2
from pydantic import TypeAdapter
from pydantic.warnings import UnsupportedFieldAttributeWarning

_log = logging.getLogger(__name__)
_LOOKED_AT = "0.165."


class LaterAdapter:
    """A Pydantic `TypeAdapter` that is made when it is first asked for anything."""

    def __init__(self, *how: Any, **more: Any) -> None:
        """Takes what the adapter is made of."""
        self._make: Callable[[], TypeAdapter[Any]] = lambda: TypeAdapter(*how, **more)

    @cached_property
    def _made(self) -> TypeAdapter[Any]:
        with warnings.catch_warnings():  # FastAPI looks away just so while it makes its own
            warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)
            return self._make()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)


def install() -> None:
    """Has FastAPI make its fields so from now on, if it is the release that was looked at."""
    if not fastapi.__version__.startswith(_LOOKED_AT):
        _log.info("fields of FastAPI %s are left as they are", fastapi.__version__)
        return
    vars(v2)["TypeAdapter"] = LaterAdapter
