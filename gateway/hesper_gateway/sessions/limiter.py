"""The limiter (IEC 62056-6-2, class 71): what it watches is read, what it does is written.

Thresholds have the type of the value that is watched, so the type of the present one is kept.
What lets the limiter do less is written before what lets it do more: the durations first and the
actions last, but actions that leave the supply alone before anything else.
"""

from hesper_contracts.limits import WriteLimiter
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data
from hesper_dlms.classes.control import Limiter, LimiterActions
from hesper_dlms.classes.registry import of_record
from hesper_dlms.classes.scheduling import ActionItem
from hesper_dlms.errors import DlmsError, ServiceError

from hesper_gateway.errors import MeterDistrusted
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.classing import refusal
from hesper_gateway.sessions.settings_written import Setting
from hesper_gateway.templates.model import ObjectsTemplate

_CLASS = of_record(Limiter)
_THRESHOLD_NORMAL, _THRESHOLD_EMERGENCY, _MIN_OVER, _MIN_UNDER, _ACTIONS = 4, 5, 6, 7, 11
_SELECTORS = {"nothing": 0, "disconnect": 1, "reconnect": 2}
"""Scripts of the disconnect script table; 0 is none."""


async def settings(
    association: Association, objects: ObjectsTemplate, wanted: WriteLimiter
) -> list[Setting]:
    """Return what is to be written, in order; the present thresholds are read for their type.

    Raises:
        MeterFailed: there is no limiter, or a threshold does not fit the value it watches.
    """
    where = objects.limiter
    durations = [
        _setting(where, name, attribute_id, axdr.double_long_unsigned(seconds))
        for name, attribute_id, seconds in (
            ("duration over the threshold", _MIN_OVER, wanted.min_over_threshold_s),
            ("duration under the threshold", _MIN_UNDER, wanted.min_under_threshold_s),
        )
        if seconds is not None
    ]
    thresholds = [
        _setting(where, name, attribute_id, await _like(association, where, attribute_id, value))
        for name, attribute_id, value in (
            ("threshold", _THRESHOLD_NORMAL, wanted.threshold_normal),
            ("emergency threshold", _THRESHOLD_EMERGENCY, wanted.threshold_emergency),
        )
        if value is not None
    ]
    if wanted.actions is None:
        return durations + thresholds
    scripts, doing = obis.LogicalName(objects.disconnect_scripts), wanted.actions
    over = ActionItem(scripts, _SELECTORS[doing.over])
    under = ActionItem(scripts, _SELECTORS[doing.under])
    value = _CLASS.encode(_ACTIONS, LimiterActions(over, under))
    actions = [_setting(where, "actions", _ACTIONS, value)]
    rest = durations + thresholds
    return rest + actions if doing.over == "disconnect" else actions + rest


def _setting(where: bytes, name: str, attribute_id: int, value: Data) -> Setting:
    return Setting(name, CosemAttribute(_CLASS.class_id, where, attribute_id), value)


async def _like(association: Association, where: bytes, attribute_id: int, value: int) -> Data:
    """Return a number of the type that the meter's own has."""
    try:
        present = await association.get(CosemAttribute(_CLASS.class_id, where, attribute_id))
    except ServiceError as error:
        raise refusal(error, "the limiter cannot be read") from error
    try:
        present.as_int()
        found = Data(present.tag, value)
        axdr.encode(found)
    except DlmsError as error:
        raise MeterDistrusted(f"a threshold of {value} is none for it: {error}") from error
    return found
