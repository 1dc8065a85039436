"""How one manufacturer's shipment file names what Hesper calls serial, encryption_key and so on.

A layout is a small TOML file::

    meter = "Device"                        # XML: the element of one meter, wherever it stands
    encoding = "hex"                        # or "base64"
    wrapped = ["encryption_key"]            # what is wrapped under the transport key; all: ["*"]

    [columns]                               # ours = theirs
    serial = "SerialNo"                     # CSV: a column of the header
    encryption_key = "Keys/GUEK"            # XML: a path below the element of the meter,
    master_key = "Keys/Key[@id=3]"          # … one of several elements by an attribute,
    authentication_key = "Keys/Auth@value"  # … or an attribute

What a layout leaves out keeps its usual name. Case, blanks, hyphens and underscores do not count in
names of columns, nor does the prefix of an XML namespace.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from hesper_cloud.meter_keys import key_set

SERIAL = "serial"
COLUMNS = (SERIAL, *key_set.NAMES)
_USUAL: Mapping[str, tuple[str, ...]] = {
    SERIAL: ("serial", "serial_number", "serial_no", "meter", "meter_id"),
    "encryption_key": ("encryption_key", "guek", "ek", "global_unicast_key"),
    "broadcast_key": ("broadcast_key", "gbek", "global_broadcast_key"),
    "authentication_key": ("authentication_key", "gak", "ak"),
    "master_key": ("master_key", "kek", "mk"),
    "password": ("password", "lls_password", "lls"),
}


class BadLayout(Exception):
    """A layout that cannot be used; the text says where."""


class Layout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a shipment file is to be read."""

    meter: str = "meter"
    encoding: Literal["hex", "base64"] = "hex"
    wrapped: tuple[str, ...] = ()
    columns: dict[str, str] = {}

    def __post_init__(self) -> None:
        for name in {*self.columns, *self.wrapped} - {"*"}:
            if name not in COLUMNS:
                raise ValueError(f"{name!r} is none of {', '.join(COLUMNS)}")

    def names(self, column: str) -> tuple[str, ...]:
        """Returns the names under which a column may be found, as `folded` leaves them."""
        given = self.columns.get(column)
        usual = _USUAL.get(column, (column,))
        return tuple(folded(name) for name in ((given,) if given else usual))

    def is_wrapped(self, column: str) -> bool:
        """Says whether a column's keys are wrapped under the transport key."""
        is_key = column not in (SERIAL, "password")
        return column in self.wrapped or ("*" in self.wrapped and is_key)


def load(path: Path) -> Layout:
    """Reads a layout.

    Raises:
        BadLayout: it is none.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8-sig")), Layout)
    except (OSError, ValueError) as error:
        raise BadLayout(f"{path}: {error}") from None


def folded(name: str) -> str:
    """Returns a name in the form in which two are the same."""
    return re.sub(r"[\s_-]", "", name).casefold()
