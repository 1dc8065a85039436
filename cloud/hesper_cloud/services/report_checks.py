"""What may be asked of reports: which kinds, of which areas, by which calendar."""

from zoneinfo import ZoneInfo

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.reports.kinds import KINDS
from hesper_cloud.reports.tables import ReportKind
from hesper_cloud.services.errors import Invalid, NotPermitted
from hesper_cloud.services.sources import require
from hesper_cloud.worded import told_by, worded
from hesper_cloud.zones import existing_zone


def kind_of(actor: Actor, name: str, area: str | None) -> ReportKind:
    """Returns a kind of report that the actor may ask for, of an area or of all.

    Raises:
        Invalid: there is no such kind, or it cannot be divided.
        NotPermitted: it is not for this role, or not for these areas.
    """
    kind = KINDS.get(name)
    if kind is None:
        raise Invalid(
            worded(
                "there is no report {name!r}; there are {kinds}",
                name=name[:40],
                kinds=", ".join(KINDS),
            )
        )
    require(actor, kind.permission)
    if area is not None and not kind.divisible:
        raise Invalid(worded("{title} cannot be divided by area", title=kind.title))
    if not is_seen(actor, name, area):
        raise NotPermitted("your account is for some areas; ask for a report of one of them")
    return kind


def is_seen(actor: Actor, name: str, area: str | None) -> bool:
    """Says whether reports of a kind and area are the actor's to see."""
    kind = KINDS.get(name)
    if kind is not None and not actor.may(kind.permission):
        return False
    return actor.areas is None or (area is not None and actor.sees(area))


def zone_named(name: str) -> ZoneInfo:
    """Returns the zone of a name.

    Raises:
        Invalid: there is none.
    """
    try:
        return ZoneInfo(existing_zone(name))
    except ValueError as error:
        raise Invalid(told_by(error)) from None
