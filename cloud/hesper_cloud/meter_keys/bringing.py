"""Keys of a shipment enter custody: all of a file or nothing of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from hesper_cloud import audit
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.meter_keys import shipment, shipment_csv, shipment_xml
from hesper_cloud.meter_keys.custody import Custody, Origin
from hesper_cloud.meter_keys.layout import Layout
from hesper_cloud.meter_keys.shipment import (
    MOST_OCTETS,
    Delivered,
    Fault,
    ShipmentRefused,
    TransportKey,
)


@dataclass(frozen=True, slots=True)
class Brought:
    """How many meters a file names, and of how many the keys are new here."""

    meters: int
    new: int


def read(path: Path, layout: Layout, kek: TransportKey | None) -> tuple[list[Delivered], str]:
    """Returns the keys in a shipment file and the file's SHA-256, hex.

    Raises:
        ShipmentRefused: with everything that is wrong in it.
    """
    with path.open("rb") as file:
        octets = file.read(MOST_OCTETS + 1)
    if len(octets) > MOST_OCTETS:
        raise ShipmentRefused([Fault(1, "", f"larger than {MOST_OCTETS >> 20} MiB")])
    is_xml = octets.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n").startswith(b"<")
    rows = (shipment_xml if is_xml else shipment_csv).rows(octets, layout)
    return shipment.delivered(rows, layout, kek), hashlib.sha256(octets).hexdigest()


def check(
    authority: Engine, custody: Custody, found: Sequence[Delivered], *, replace: bool
) -> Brought:
    """Says what bringing these keys would do, and does nothing.

    Raises:
        ShipmentRefused: as `bring` does.
    """
    with reading(authority) as session:
        return _judged(session, custody, found, replace)


def bring(
    authority: Engine,
    custody: Custody,
    found: Sequence[Delivered],
    origin: Origin,
    *,
    replace: bool,
) -> Brought:
    """Brings the keys of a shipment in one transaction.

    Args:
        authority: The authority's database.
        custody: Where they are kept.
        found: The keys.
        origin: Who brings them, and which file.
        replace: Take the place of other keys that are kept.

    Raises:
        ShipmentRefused: keys are kept of a meter that these would replace, or a change is open.
    """
    with writing(authority) as session:
        brought = _judged(session, custody, found, replace)
        entry = audit.Entry(
            origin.actor, "keys.import", origin.source, None, f"{brought.new} of {brought.meters}"
        )
        audit.append(session, origin.at, entry)
        for each in found:
            custody.put(session, each.meter, each.keys, origin)
    return brought


def _judged(
    session: Session, custody: Custody, found: Sequence[Delivered], replace: bool
) -> Brought:
    faults, new = [], 0
    for each in found:
        current = custody.current(session, each.meter)
        if current == each.keys:
            continue
        new += 1
        if current is None:
            continue
        if custody.pending(session, each.meter) is not None:
            text = f"a change of the keys of {each.meter} is under way"
            faults.append(Fault(each.row, "serial", text))
        elif not replace:
            text = f"other keys of {each.meter} are kept; --replace takes these instead"
            faults.append(Fault(each.row, "serial", text))
    if faults:
        raise ShipmentRefused(faults)
    return Brought(len(found), new)
