"""A meter that answers and refuses its load profile: told once, and once that it is over."""

from typing import Any

from hesper_contracts.readings import LOAD_PROFILE
from hesper_dlms import obis
from hesper_gateway.visit import Visitor, Work
from hesper_sim.faults import Fault

EVERYTHING = {Work.SNAPSHOT, Work.PROFILE}


def told(works: Any) -> list[tuple[str, Any]]:
    """What was told of the profile: the event's last word and the hop."""
    return [
        (event.code, event.attributes.get("hop"))
        for event in works.events()
        if event.attributes.get("profile") == obis.text(LOAD_PROFILE)
    ]


async def test_it_is_told_once_and_once_that_it_is_over(works: Any) -> None:
    async with works.working(), works.line() as line:
        session, outbox = works.session(line), works.outbox
        visitor = Visitor(session, works.gathering, outbox, outbox.progress, works.now)
        await visitor.visit(set(EVERYTHING))
        assert told(works) == []
        works.district.begin(works.meter, Fault.PROFILE_REFUSED)
        for _ in range(2):
            visited = await visitor.visit(set(EVERYTHING))
            assert visited.failure is None
            assert visited.done == EVERYTHING
        assert told(works) == [("meter.profile_refused", "access")]
        works.district.end(works.meter, Fault.PROFILE_REFUSED)
        for _ in range(2):
            await visitor.visit(set(EVERYTHING))
    assert told(works) == [("meter.profile_refused", "access"), ("meter.profile_given", None)]
