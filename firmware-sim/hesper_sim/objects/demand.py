"""Maximum demand: extended register (class 4) and demand register (class 5) of active import.

A demand is the mean power of one quarter hour. The maximum is the month's, with the moment at which
its quarter ended; both are computed from the load curve whenever they are asked for.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from hesper_dlms import axdr, obis
from hesper_dlms.units import ScalerUnit, Unit

from hesper_sim.load import SLOT_S
from hesper_sim.meter import Meter
from hesper_sim.objects.clock import time_of
from hesper_sim.objects.cosem_object import (
    DEMAND_REGISTER,
    EXTENDED_REGISTER,
    CosemObject,
    Subject,
    computed,
    fixed,
)

MAXIMUM_DEMAND: Final = obis.parse("1.0.1.6.0.255")
DEMAND: Final = obis.parse("1.0.1.4.0.255")
_WATT: Final = ScalerUnit(0, Unit.WATT).to_data()


def _mean_w(meter: Meter, start: int, end: int) -> int:
    used = meter.energy_j(end).active_import - meter.energy_j(start).active_import
    return used // max(end - start, 1)


@lru_cache(maxsize=64)
def _maximum(meter: Meter, quarter: int) -> tuple[int, int]:
    """Return the month's largest demand up to the end of a quarter hour, W, and when it ended."""
    first = datetime.fromtimestamp(quarter * SLOT_S - 1, UTC)
    begin = int(first.replace(day=1, hour=0, minute=0, second=0).timestamp())
    ends = range(begin + SLOT_S, quarter * SLOT_S + 1, SLOT_S)
    return max(((_mean_w(meter, end - SLOT_S, end), end) for end in ends), default=(0, begin))


def _month(subject: Subject) -> tuple[int, int]:
    return _maximum(subject.meter, subject.district.now() // SLOT_S)


def _quarter_begin(subject: Subject) -> int:
    return subject.district.now() // SLOT_S * SLOT_S


def _current(subject: Subject) -> axdr.Data:
    now = subject.district.now()
    begin = _quarter_begin(subject)
    used = subject.meter.energy_j(now).active_import - subject.meter.energy_j(begin).active_import
    return axdr.double_long_unsigned(used // SLOT_S)


def _last(subject: Subject) -> axdr.Data:
    begin = _quarter_begin(subject)
    return axdr.double_long_unsigned(_mean_w(subject.meter, begin - SLOT_S, begin))


def _moment(subject: Subject, at: int) -> axdr.Data:
    return axdr.octet_string(time_of(subject, at))


DEMANDS: Final = (
    CosemObject(
        EXTENDED_REGISTER,
        MAXIMUM_DEMAND,
        readers={
            2: computed(lambda subject: axdr.double_long_unsigned(_month(subject)[0])),
            3: fixed(_WATT),
            4: fixed(axdr.unsigned(0)),
            5: computed(lambda subject: _moment(subject, _month(subject)[1])),
        },
    ),
    CosemObject(
        DEMAND_REGISTER,
        DEMAND,
        readers={
            2: computed(_current),
            3: computed(_last),
            4: fixed(_WATT),
            5: fixed(axdr.unsigned(0)),
            6: computed(lambda subject: _moment(subject, _quarter_begin(subject))),
            7: computed(lambda subject: _moment(subject, _quarter_begin(subject))),
            8: fixed(axdr.double_long_unsigned(SLOT_S)),
            9: fixed(axdr.long_unsigned(1)),
        },
    ),
)
