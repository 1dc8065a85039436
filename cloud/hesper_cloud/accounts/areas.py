"""Areas lie in areas: who sees one sees those within it."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.assets import Area


def within(session: Session, areas: Iterable[str]) -> tuple[str, ...]:
    """Returns some areas and all that lie within them, sorted; ``session`` is of the registry."""
    below: dict[str, list[str]] = {}
    for name, parent in session.execute(select(Area.name, Area.parent)):
        if parent is not None:
            below.setdefault(parent, []).append(name)
    found, waiting = set(areas), list(areas)
    while waiting:
        inner = [name for name in below.get(waiting.pop(), ()) if name not in found]
        found.update(inner)
        waiting += inner
    return tuple(sorted(found))
