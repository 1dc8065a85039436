"""The recorded drill: disconnect-all by an insider, on real processes and simulated relays."""

import dataclasses
from pathlib import Path

import pytest
from hesper_lab import drill

pytestmark = pytest.mark.integration


def test_an_insider_cuts_no_more_than_the_budget_and_is_told_of_within_a_minute(
    tmp_path: Path,
) -> None:
    wishes = dataclasses.replace(drill.WISHES, tcp_meters=12, shared_meters=0)
    record = drill.run(tmp_path / "site", lambda _: None, wishes)
    assert record.reasons == ()
    assert record.cut == record.budget == 6
    assert record.commands == {"confirmed": 6}
    assert record.refused == 6
    assert record.alarm_s is not None
