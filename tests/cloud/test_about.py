"""What the page Settings says of an installation holds."""

from types import SimpleNamespace
from typing import Any

import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.services.about import About
from hesper_cloud.settings import Settings

HTTPS = {"certificate": "hes.pem", "key": "hes.key"}


async def told(head_end: Any, **changed: Any) -> dict[str, str]:
    databases = head_end.databases
    sources: Any = SimpleNamespace(
        settings=Settings(state=head_end.settings.state, **changed),
        registry=databases.registry,
        authority=databases.authority,
    )
    facts = await About(sources).facts(Actor("cleo", Role.ADMIN))
    return {fact.name: fact.value for fact in facts}


async def test_days_begin_in_the_zone_of_the_validation(head_end: Any) -> None:
    found = await told(head_end, validation={"zone": "Europe/Berlin"})
    assert found["time zone of days"] == "Europe/Berlin"


@pytest.mark.parametrize(
    ("web", "said"),
    [
        ({}, "no"),
        ({"secure_cookies": True}, "yes"),
        ({"tls": HTTPS}, "yes"),
        ({"behind_proxy": ["10.0.0.1"]}, "where the proxy says HTTPS"),
    ],
)
async def test_cookies_are_called_secure_where_they_are(
    head_end: Any, web: dict[str, Any], said: str
) -> None:
    assert (await told(head_end, web=web))["secure cookies"] == said
