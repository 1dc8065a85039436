"""What is asked of the authority, looked at first: parameters of a kind, and whom a list names."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from hesper_contracts.frame import Refused as WrongParameters

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.authority import kinds
from hesper_cloud.services import meter_list
from hesper_cloud.services.errors import Invalid
from hesper_cloud.services.records import MeterQuery
from hesper_cloud.services.scope import check_meters
from hesper_cloud.services.sources import Sources
from hesper_cloud.worded import told_by


def parameters_of(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a kind's parameters as they are kept and signed.

    Raises:
        Invalid: the kind is not issued, or does not take these.
    """
    try:
        return kinds.checked(kind, given)[1]
    except WrongParameters as refusal:
        raise Invalid(told_by(refusal)) from None


async def addressees(
    sources: Sources, actor: Actor, named: Sequence[str], query: MeterQuery | None
) -> list[str]:
    """Returns whom a list of commands is for: who is named, or the meters that a query finds.

    Raises:
        Invalid: neither is said, or both are.
        NotFound: one of them is not the actor's to see.
    """
    if bool(named) == (query is not None):
        raise Invalid("name the meters or gateways, or a query that finds meters")
    if query is not None:
        named = await asyncio.to_thread(meter_list.ids, sources, actor, query)
    await check_meters(sources.registry, actor, named)
    return list(named)
