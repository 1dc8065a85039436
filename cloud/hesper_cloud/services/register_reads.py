"""What registers show when a meter goes into service or out of it, by a person or by itself."""

from hesper_cloud import quantities
from hesper_cloud.assets import service_life
from hesper_cloud.assets.service_life import Register
from hesper_cloud.db.engines import reading
from hesper_cloud.services.asset_records import RegisterWish
from hesper_cloud.services.errors import Invalid, Refused
from hesper_cloud.services.sources import Sources, instant
from hesper_cloud.worded import worded

_LARGEST = 2**63
_SCALERS = range(-9, 10)
_UNITS = range(256)


def told(sources: Sources, wish: RegisterWish) -> Register:
    """Returns a person's read.

    Raises:
        Invalid: it is none, or of a moment that has not come.
    """
    if not 0 <= wish.value < _LARGEST or wish.scaler not in _SCALERS or wish.unit not in _UNITS:
        raise Invalid("a register has a value from 0, a scaler from -9 to 9 and a DLMS unit")
    if wish.logical_name not in quantities.NAMES:
        raise Invalid(
            worded(
                "{logical_name!r} is no register that is known here",
                logical_name=wish.logical_name[:40],
            )
        )
    if wish.at > sources.clock():
        raise Invalid("a register was not read in the future")
    return Register(wish.logical_name, wish.value, wish.scaler, wish.unit, wish.at, source="person")


def of_meter(sources: Sources, meter: str) -> Register:
    """Returns the newest register that the meter sent since it was installed.

    Raises:
        Refused: there is none.
    """
    newest = sources.latest.value(meter, quantities.ACTIVE_ENERGY_IMPORT)
    with reading(sources.registry) as session:
        since = service_life.in_place_since(session, meter)
    if newest is None or newest.value is None or (since and instant(newest.captured_at) < since):
        raise Refused(
            worded(
                "meter {meter} has sent no register since it was installed: read it, or say what "
                "its register shows",
                meter=meter,
            )
        )
    at = instant(newest.captured_at)
    name, value, scaler = newest.logical_name, newest.value, newest.scaler
    return Register(name, value, scaler, newest.unit, at, source="meter")
