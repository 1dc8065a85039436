"""The places of the console: what leads to them is unique."""

from collections import Counter

from hesper_ui.places import declared


def test_no_key_leads_to_two_places():
    keys = Counter(place.key for place in declared() if place.key)
    assert {key: count for key, count in keys.items() if count > 1} == {}


def test_every_place_in_the_navigation_can_be_reached_by_a_key():
    assert [place.title for place in declared() if place.icon and not place.key] == []
