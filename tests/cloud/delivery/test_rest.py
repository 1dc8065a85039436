"""Targets and routes over REST: secrets go in and never come out, everything is audited."""

import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.api.delivery import Route, Target
from hesper_cloud.db.delivery import DeliveryTarget
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.errors import Invalid, NotFound, NotPermitted, Stale, Unavailable
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import Settings
from hesper_cloud.stores.duckdb import DuckDbStore
from pydantic import ValidationError
from sqlalchemy import select

CLEO, BEN, ANN = (
    Actor("cleo", Role.ADMIN),
    Actor("ben", Role.APPROVER),
    Actor("ann", Role.OPERATOR),
)
MAIL = {
    "kind": "email",
    "host": "mail.example.com",
    "username": "hesper",
    "sender": "hesper@example.com",
    "recipients": ["shift@example.com"],
}


@pytest.fixture
def services(head_end, deciding):
    reachable = {"reachable": ["127.0.0.0/8"], "timeout_s": 30}
    settings = Settings(state=head_end.settings.state, delivery=reachable)
    store = DuckDbStore(settings.readings_file)
    read_only = open_engine(settings.database.authority_url, read_only=True)
    registry = head_end.databases.registry
    sources = Sources(settings, registry, read_only, store, LatestValues(), head_end.clock)
    made = assemble(sources, lambda: 0.0)
    yield made
    made.delivery.close()
    made.energy.close()
    store.close()
    read_only.dispose()


def wish(config: dict, **more):
    return Target(name="ops", config=config, **more).wish()


async def test_a_target_is_made_tried_changed_and_removed(services, hook, authority):
    desk, log = services.delivery, services.delivery_log
    config = {"kind": "webhook", "url": hook.url, "ca": authority.pem}
    made = await desk.put_target(CLEO, wish(config))
    assert len(made.secret) >= 43
    assert made.secret not in repr(made)
    assert await desk.test(CLEO, made.target.id)
    ((_, headers, body),) = hook.arrived
    assert (b'"kind":"test"' in body, headers["hesper-signature"][:3]) == (True, "v1=")
    hook.answers = [(401, {}, b"")]
    tested = await desk.test(CLEO, made.target.id)
    assert (tested.delivered, tested.answer) == (False, "answered 401")
    (row,) = await log.targets(BEN)
    assert (row.has_secret, row.failures, row.problem) == (True, 1, "answered 401")
    messages, _ = await log.messages(BEN)
    assert [(each.kind, each.state) for each in messages] == [("test", "expired"), ("test", "sent")]
    again = await desk.put_target(CLEO, wish(config, enabled=False), made.target.id, 1)
    assert (again.secret, again.target.enabled, again.target.version) == (None, False, 2)
    with pytest.raises(Stale):
        await desk.put_target(CLEO, wish(config), made.target.id, 1)
    route = await desk.put_route(CLEO, Route(name="all", target=made.target.id).wish())
    assert (route.policy["min_severity"], len(await log.routes(BEN))) == ("warning", 1)
    await desk.remove_target(CLEO, made.target.id)
    assert (await log.targets(BEN), await log.routes(BEN)) == ([], [])
    with pytest.raises(NotFound):
        await desk.test(CLEO, made.target.id)
    audited = await services.audit.page(BEN, subject="ops")
    assert [row.action for row in reversed(audited.rows)] == [
        "delivery.target_make",
        "delivery.test",
        "delivery.test",
        "delivery.target_change",
        "delivery.target_remove",
    ]


async def test_a_secret_stays_with_the_server_it_was_given_for(services):
    desk = services.delivery
    with pytest.raises(Invalid, match="give the password"):
        await desk.put_target(CLEO, wish(MAIL))
    made = await desk.put_target(CLEO, wish(MAIL, secret="the server's password"))
    with reading(services.sources.registry) as session:
        kept = session.scalars(select(DeliveryTarget)).one()
    assert b"password" not in kept.sealed_secret + kept.wrapped_key
    moved = MAIL | {"host": "evil.example.com"}
    with pytest.raises(Invalid, match="give the password"):
        await desk.put_target(CLEO, wish(moved), made.target.id)
    more = MAIL | {"recipients": ["shift@example.com", "boss@example.com"]}
    assert (await desk.put_target(CLEO, wish(more), made.target.id)).target.has_secret
    with pytest.raises(Invalid, match="stays one"):
        await desk.put_target(CLEO, wish({"kind": "mqtt"}), made.target.id)
    with pytest.raises(Invalid, match="taken"):
        await desk.put_target(CLEO, wish({"kind": "mqtt"}))


async def test_without_its_key_no_secret_is_taken_and_all_else_is_shown(services, head_end):
    desk = services.delivery
    made = await desk.put_target(CLEO, wish(MAIL, secret="the server's password"))
    file = head_end.settings.keys / "delivery.key"
    file.write_text("damaged")
    with pytest.raises(Unavailable, match="put the file back"):
        await desk.put_target(CLEO, wish(MAIL, secret="another password"), made.target.id)
    tested = await desk.test(CLEO, made.target.id)
    assert tested.answer == "its secret does not open; set it anew"
    (row,) = await services.delivery_log.targets(BEN)
    assert (row.version, row.has_secret) == (1, True)


async def test_a_webhook_that_is_led_elsewhere_gets_a_new_secret(services):
    desk = services.delivery
    made = await desk.put_target(CLEO, wish({"kind": "webhook", "url": "https://a.example.com/x"}))
    same = await desk.put_target(
        CLEO, wish({"kind": "webhook", "url": "https://a.example.com/y"}), made.target.id
    )
    moved = await desk.put_target(
        CLEO, wish({"kind": "webhook", "url": "https://b.example.com/y"}), made.target.id
    )
    assert same.secret is None
    assert moved.secret not in (None, made.secret)


async def test_only_administrators_change_anything_and_only_everywhere(services):
    desk, log = services.delivery, services.delivery_log
    for who in (BEN, ANN, Actor("hal", Role.ADMIN, areas=("Harbour",))):
        with pytest.raises(NotPermitted):
            await desk.put_target(who, wish({"kind": "mqtt"}))
    with pytest.raises(NotPermitted):
        await log.targets(ANN)


@pytest.mark.parametrize("name", ["Ops", "", "a b", "x" * 64, "../etc", "+", "#", "a/b"])
def test_a_name_is_fit_for_a_topic(name):
    with pytest.raises(ValidationError):
        Target(name=name, config={"kind": "mqtt"})
