"""Files that erasures have written since the list was made are taken into a list that was restored.

A list from before an erasure names files that are not there any more. What stands in their place is
known by its name, a later version of the same part, and says itself what it holds; only what it
holds indeed is entered. Of a part of which the erasure left nothing there is no later version, so
it looks like one that was lost: a person says which it is.
"""

from collections.abc import Sequence
from os import SEEK_END

from sqlalchemy import Engine

from hesper_cloud.archive import files
from hesper_cloud.archive.keeping import ArchiveError, become
from hesper_cloud.archive.names import Place, place_of
from hesper_cloud.db.archive import ArchivedPart
from hesper_cloud.db.engines import writing
from hesper_cloud.exports.targets import opened, remove
from hesper_cloud.stores.copying import content


def successor(part: ArchivedPart, names: Sequence[str]) -> Place | None:
    """Returns the newest later version of a part whose file is not there; None where none is.

    Args:
        part: As it is entered.
        names: The files that are there.
    """
    if part.name in names:
        return None
    return max(_later(part, names), default=None)


def adopt(folder: str, registry: Engine, part: ArchivedPart, names: Sequence[str]) -> Place:
    """Enters the newest version of a part, and removes those between; returns it.

    Raises:
        ArchiveError: there is none, it does not say what it holds, or does not hold it.
        TargetError: it cannot be read, or is damaged (as OSError or ValueError of Arrow's).
    """
    newest = successor(part, names)
    if newest is None:
        raise ArchiveError(
            "nor a later version of it: it is lost, or an erasure left nothing of it"
        )
    url = f"{folder}/{newest.name}"
    said = files.said(url)
    if said is None or said != content(files.readings(url)):
        raise ArchiveError(f"{newest.name} does not say what it holds, or does not hold it")
    with opened(url) as file:
        octets = file.seek(0, SEEK_END)
    with writing(registry) as session:
        row = session.get_one(ArchivedPart, (part.day, part.part))
        if row.name != part.name:
            raise ArchiveError(f"it has become {row.name} meanwhile")
        become(row, newest.name, octets, said)
    for between in _later(part, names):
        if between != newest:
            remove(f"{folder}/{between.name}")
    return newest


def forget(registry: Engine, part: ArchivedPart) -> None:
    """Takes a part out of the list."""
    with writing(registry) as session:
        session.delete(session.get_one(ArchivedPart, (part.day, part.part)))


def _later(part: ArchivedPart, names: Sequence[str]) -> list[Place]:
    entered = place_of(part.name)
    places = filter(None, map(place_of, names))
    return [
        place
        for place in places
        if entered is not None and place[:2] == entered[:2] and place.version > entered.version
    ]
