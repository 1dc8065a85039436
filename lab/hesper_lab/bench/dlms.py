"""The DLMS stack beside its peers: decoding a profile, a GET, an association, importing it."""

from __future__ import annotations

from hesper_lab.bench import dlms_import, dlms_profile, dlms_services
from hesper_lab.bench.rows import Row


def run() -> list[Row]:
    """Measure everything, about a minute with the peers."""
    return [*dlms_profile.run(), *dlms_services.run(), *dlms_import.run()]
