"""How alerts and their delivery are drawn and read back."""

from dataclasses import replace

import pytest
from console_double.fleet import Fleet
from hesper_ui import tongues
from hesper_ui.services import Invalid
from hesper_ui.views import alerts, delivery
from hesper_ui.words import speaking


def test_the_sparkline_holds_only_our_own_numbers():
    drawn = alerts.spark([0, 3, 120], 100)
    assert drawn.count("<rect") == 2
    assert "stroke-dasharray" in drawn
    assert "stroke-dasharray" not in alerts.spark([0, 3], 100)
    assert alerts.spark([], 100).startswith("<svg")


def test_alerts_of_the_whole_fleet_stand_under_its_name():
    alert = replace(Fleet().alerts[0], group="fleet/all areas/gateway-offline")
    assert [each.name for each in alerts.groups([alert])] == ["All areas"]
    with speaking(tongues.tongue("de")):
        assert [each.name for each in alerts.groups([alert])] == ["Alle Gebiete"]


@pytest.mark.parametrize(
    "said",
    [
        {"severity": "huge"},
        {"begin": "25:00", "end": "06:00"},
        {"digest": "many"},
        {"begin": "22:00", "end": "06:00", "zone": "Mars"},
    ],
)
def test_a_route_that_makes_no_sense_is_said_to_be_so(said):
    plain = {
        "severity": "warning", "rules": "", "areas": "", "begin": "", "end": "", "zone": "",
        "digest": "5",
    }  # fmt: skip
    assert delivery.policy(plain).digest_above == 5
    with pytest.raises(Invalid):
        delivery.policy(plain | said)
