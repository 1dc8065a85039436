"""Firmware reaches meters by approved batches, each command carrying what two people signed."""

import os
from datetime import timedelta
from typing import Any

import pytest
from hesper_cloud.authority.firmware import FirmwareDesk
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.authority import Batch, BatchRow
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter
from hesper_contracts import firmware, jsonbody, parameters
from hesper_contracts.results import Findings, ImageFinding
from sqlalchemy import select

METERS = [f"HES{number:08}" for number in range(6)]
VERSION = "HSP-FW 1.5.0"
TERMS = {"canary": 2, "wave_size": 2, "per_hour": 3_600_000, "stop_percent": 10}


class Campaign:
    """One image for six meters, driven turn by turn."""

    def __init__(self, head_end: Any, release: Any) -> None:
        self.head_end, self.release, self.shelf = head_end, release, release.kept()
        head_end.authority.release(FirmwareDesk(self.shelf))
        papers = [
            MeterPaper(id=one, gateway="gw-1", logical_device_name=f"HSP{one}") for one in METERS
        ]
        commission(head_end.databases, papers)

    def wish(self, **changes: Any) -> dict[str, Any]:
        return {"image": self.release.image_hash, "version": VERSION} | changes

    def propose(self, meters: list[str] = METERS, **changes: Any) -> Any:
        given = {"wish": self.wish(), "reason": "release 1.5", "meters": meters} | TERMS
        return self.head_end.ask("ann", "firmware.campaign", **(given | changes))

    def approve(self, asked: Any, who: str = "ben") -> Any:
        return self.head_end.ask(
            who,
            "batch.approve",
            password={"ben": "second-pair-of-eyes"}[who],
            batch=asked.outcome["batch"],
            digest=asked.outcome["digest"],
        )

    def begun(self, **changes: Any) -> str:
        """An approved campaign; returns its batch."""
        asked = self.propose(**changes)
        assert self.approve(asked).state == "done"
        batch: str = asked.outcome["batch"]
        return batch

    def turn(self, seconds: float = 1) -> None:
        self.head_end.clock.advance(seconds)
        self.head_end.authority.turn()

    def left(self) -> list[Any]:
        """Commands that have left and are not answered."""
        self.turn()
        open_ = {"sent"}
        return [
            each
            for each in self.head_end.published()
            if self.head_end.command(each.id).state in open_
        ]

    def verified(self, command: Any) -> None:
        self.answer(command, Findings(image=ImageFinding(status=3), firmware="HSP-FW 1.4.2"))

    def activated(self, command: Any, version: str = VERSION) -> None:
        findings = Findings(image=ImageFinding(status=6), firmware_after=version)
        self.answer(command, findings)

    def answer(self, command: Any, findings: Findings, state: Any = "confirmed") -> None:
        self.head_end.answer(command, state, findings=findings)

    def bring(self) -> str:
        """A campaign whose every row is verified."""
        batch = self.begun()
        for _ in range(10):
            for command in self.left():
                self.verified(command)
        assert self.batch(batch).state == "done"
        return batch

    def batch(self, batch: str) -> Batch:
        with reading(self.head_end.databases.authority) as session:
            return session.get_one(Batch, batch)

    def rows(self, batch: str) -> list[BatchRow]:
        query = select(BatchRow).where(BatchRow.batch == batch).order_by(BatchRow.position)
        with reading(self.head_end.databases.authority) as session:
            return list(session.scalars(query))


@pytest.fixture
def campaign(head_end: Any, release: Any) -> Campaign:
    return Campaign(head_end, release)


def test_what_leaves_carries_the_manifest_and_the_hash(campaign: Campaign) -> None:
    campaign.begun()
    first, second = campaign.left()
    assert (first.meter, second.meter) == tuple(METERS[:2])
    assert first.image_hash == campaign.release.image_hash
    assert (first.requester, first.approver) == ("ann", "ben")
    said = firmware.check(parameters.of(first), first.image_hash, campaign.release.keys)
    assert said.version == VERSION


def test_nothing_leaves_before_a_second_person_has_approved(campaign: Campaign) -> None:
    asked = campaign.propose()
    assert campaign.left() == []
    refusal = campaign.head_end.ask(
        "ann", "batch.approve", password="x", batch=asked.outcome["batch"], digest="x"
    )
    assert refusal.state == "refused"


def test_a_failing_canary_stops_the_campaign_by_itself(campaign: Campaign) -> None:
    batch = campaign.begun()
    for command in campaign.left():
        campaign.answer(command, Findings(image=ImageFinding(status=4)), "failed")
    campaign.turn()
    assert campaign.batch(batch).state == "stopped"
    assert campaign.left() == []
    assert [row.state for row in campaign.rows(batch)] == ["failed"] * 2 + ["waiting"] * 4


def test_after_the_canary_it_goes_in_waves(campaign: Campaign) -> None:
    batch = campaign.begun()
    for command in campaign.left():
        campaign.verified(command)
    for _ in range(5):
        campaign.turn()
    assert [row.state for row in campaign.rows(batch)] == (
        ["confirmed"] * 2 + ["released"] * 2 + ["waiting"] * 2
    )


def test_verified_is_what_shows_the_image_verified(campaign: Campaign) -> None:
    batch = campaign.begun()
    for command in campaign.left():
        campaign.answer(command, Findings(image=ImageFinding(status=2)))
    campaign.turn()
    assert {row.state for row in campaign.rows(batch)[:2]} == {"unknown"}


def test_an_activation_is_a_batch_of_its_own_for_those_that_are_verified(
    campaign: Campaign,
) -> None:
    batch = campaign.begun(stop_percent=50)
    bad, good = campaign.left()
    campaign.answer(bad, Findings(), "failed")
    campaign.verified(good)
    head_end = campaign.head_end
    asked = head_end.ask(
        "ann", "firmware.activation", campaign=batch, wish=campaign.wish(), reason="now", **TERMS
    )
    assert [row.meter for row in campaign.rows(asked.outcome["batch"])] == [good.meter]
    campaign.approve(asked)
    (activation,) = [each for each in campaign.left() if each.kind == "firmware.activate"]
    assert activation.image_hash == campaign.release.image_hash
    assert parameters.of(activation).version == VERSION
    campaign.activated(activation)
    assert head_end.command(activation.id).state == "confirmed"
    with reading(head_end.databases.registry) as session:
        assert session.get_one(Meter, good.meter).firmware == VERSION


def test_another_version_read_back_is_not_confirmed(campaign: Campaign) -> None:
    batch = campaign.bring()
    asked = campaign.head_end.ask(
        "ann", "firmware.activation", campaign=batch, wish=campaign.wish(), reason="now", **TERMS
    )
    campaign.approve(asked)
    activation = next(each for each in campaign.left() if each.kind == "firmware.activate")
    campaign.activated(activation, "HSP-FW 1.4.2")
    command = campaign.head_end.command(activation.id)
    assert command.state == "unknown"
    assert "HSP-FW 1.4.2" in command.detail


def test_a_meter_that_has_not_verified_the_image_is_never_told_to_activate_it(
    campaign: Campaign,
) -> None:
    asked = campaign.head_end.ask(
        "ann",
        "command.request",
        kind="firmware.activate",
        meter=METERS[0],
        parameters=campaign.wish(),
        reason="in a hurry",
        serial_tail="",
    )
    campaign.head_end.approve(asked.outcome["command"])
    command = campaign.head_end.command(asked.outcome["command"])
    assert command.state == "rejected"
    assert "has not verified" in command.detail


def test_nothing_is_activated_where_nothing_is_verified(campaign: Campaign) -> None:
    asked = campaign.head_end.ask(
        "ann",
        "firmware.activation",
        campaign=campaign.begun(),
        wish=campaign.wish(),
        reason="now",
        **TERMS,
    )
    assert "no meter of this campaign" in asked.outcome["reason"]


def test_octets_swapped_after_the_approval_stop_everything(campaign: Campaign) -> None:
    asked = campaign.propose()
    path = campaign.shelf.path_of(campaign.release.image_hash)
    path.write_bytes(os.urandom(path.stat().st_size))
    campaign.approve(asked)
    assert campaign.left() == []
    (first, *_) = campaign.rows(asked.outcome["batch"])
    assert first.state == "rejected"
    assert "is not what it was" in campaign.head_end.command(first.command).detail


@pytest.mark.parametrize("forge", ["one seal", "another version", "expired"])
def test_a_manifest_swapped_after_the_approval_stops_everything(
    campaign: Campaign, forge: str
) -> None:
    asked = campaign.propose()
    release = campaign.release
    match forge:
        case "one seal":
            document = release.document(release.people[0])
        case "another version":
            document = release.document(version="HSP-FW 6")
        case _:
            document = release.document(not_after=release.NOW - timedelta(days=1))
    path = campaign.shelf.folder / f"{release.image_hash}.manifest"
    path.write_bytes(jsonbody.encode(document))
    campaign.approve(asked)
    assert campaign.left() == []
    assert campaign.rows(asked.outcome["batch"])[0].state == "rejected"


def test_a_batch_edited_after_the_approval_never_leaves(campaign: Campaign) -> None:
    asked = campaign.propose()
    with writing(campaign.head_end.databases.authority) as session:
        row = session.get_one(Batch, asked.outcome["batch"])
        row.parameters = campaign.wish(image="ab" * 32)
    campaign.approve(asked)
    assert campaign.left() == []


def test_outside_of_its_window_a_campaign_waits(campaign: Campaign) -> None:
    window = {"opens": "22:00", "closes": "05:00", "zone": "Europe/Berlin"}
    batch = campaign.begun(wish=campaign.wish(window=window))
    assert campaign.left() == []
    campaign.turn(seconds=8 * 3600)  # 20:00 UTC is 22:00 in Berlin in June
    assert len(campaign.left()) == 2
    assert campaign.batch(batch).state == "canary"


def test_an_activation_does_not_begin_after_its_window(campaign: Campaign) -> None:
    batch = campaign.bring()
    window = {"opens": "12:00", "closes": "12:30"}
    asked = campaign.head_end.ask(
        "ann",
        "firmware.activation",
        campaign=batch,
        wish=campaign.wish(window=window),
        reason="now",
        **TERMS,
    )
    campaign.approve(asked)
    activation = next(each for each in campaign.left() if each.kind == "firmware.activate")
    assert (activation.not_after.hour, activation.not_after.minute) == (12, 30)


def activations(campaign: Campaign) -> list[Any]:
    return [each for each in campaign.left() if each.kind == "firmware.activate"]


def asked_for(campaign: Campaign, **wish: Any) -> Any:
    return campaign.head_end.ask(
        "ann",
        "firmware.activation",
        campaign=campaign.bring(),
        wish=campaign.wish(**wish),
        reason="at night",
        **TERMS,
    )


def test_an_activation_leaves_shortly_before_its_time_and_holds_beyond_it(
    campaign: Campaign,
) -> None:
    at = campaign.head_end.clock.now + timedelta(hours=14)
    asked = asked_for(campaign, at=at.isoformat())
    campaign.approve(asked)
    assert activations(campaign) == []  # so that an abort would still hold all of it
    campaign.turn(seconds=13 * 3600)
    first, _ = activations(campaign)
    assert (parameters.of(first).at, first.not_after) == (at, at + timedelta(hours=1))


def test_an_activation_of_one_meter_waits_for_its_time(campaign: Campaign) -> None:
    campaign.bring()
    head_end = campaign.head_end
    at = head_end.clock.now + timedelta(hours=14)
    command = head_end.ask(
        "ann",
        "command.request",
        kind="firmware.activate",
        meter=METERS[0],
        parameters=campaign.wish(at=at.isoformat()),
        reason="at night",
        serial_tail="",
    ).outcome["command"]
    head_end.approve(command)
    assert activations(campaign) == []
    assert "waits: for its time, 2026-06-02 " in head_end.command(command).detail
    campaign.turn(seconds=13 * 3600)
    (activation,) = activations(campaign)
    assert activation.not_after == at + timedelta(hours=1)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"window": {"opens": "22:00", "closes": "05:00"}}, "its window is closed"),
        ({"at": "2031-01-01T00:00:00Z"}, "2030-01-01"),
    ],
)
def test_an_activation_that_never_could_be_is_refused(
    campaign: Campaign, wish: dict[str, Any], words: str
) -> None:
    asked = asked_for(campaign, **{"at": "2026-06-01T20:00:00Z"} | wish)
    assert words in asked.outcome["reason"]


def test_those_that_need_it_not_or_cannot_take_it_are_left_out_with_the_cause(
    campaign: Campaign, release: Any
) -> None:
    document = release.document(hardware="HSP-3", minimum_version="HSP-FW 1.4.0")
    campaign.shelf.announce(document, release.NOW)
    known = {
        METERS[0]: (VERSION, "HSP-3"),
        METERS[1]: ("HSP-FW 1.3.9", "HSP-3"),
        METERS[2]: ("HSP-FW 1.4.2", "HSP-2"),
        METERS[3]: ("HSP-FW 1.4.2", "HSP-3"),
        METERS[4]: ("HSP-FW 1.6.0", "HSP-3"),
    }
    with writing(campaign.head_end.databases.registry) as session:
        for meter, (version, model) in known.items():
            row = session.get_one(Meter, meter)
            row.firmware, row.model = version, model
    batch = campaign.propose(meters=[*METERS, "nobody"]).outcome["batch"]
    assert [row.excluded for row in campaign.rows(batch)] == [
        f"runs {VERSION} already",
        "below the minimum: HSP-FW 1.3.9",
        "other hardware: HSP-2",
        None,
        "runs a later one: HSP-FW 1.6.0",
        None,
        "unknown meter",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wish": {"image": "ab" * 32, "version": VERSION}}, "there is no image"),
        ({"wish": {"image": "ab", "version": VERSION}}, "names no image"),
        ({"meters": "all"}, "no list of meters"),
        ({"canary": -1}, "canary"),
        ({"reason": " "}, "a reason is required"),
    ],
)
def test_what_makes_no_campaign(campaign: Campaign, changes: dict[str, Any], words: str) -> None:
    assert words in campaign.propose(**changes).outcome["reason"]


@pytest.mark.parametrize(
    "window",
    [
        {"opens": "22:00", "closes": "22:00"},
        {"opens": "24:00", "closes": "05:00"},
        {"opens": "22:00", "closes": "05:00", "zone": "../../etc/passwd"},
        {"opens": "22:00", "closes": "05:00", "zone": "Nowhere/Land"},
    ],
)
def test_a_window_that_makes_no_sense(campaign: Campaign, window: dict[str, str]) -> None:
    asked = campaign.propose(wish=campaign.wish(window=window))
    assert "names no image" in asked.outcome["reason"]


def test_an_image_for_gateways_goes_to_gateways(campaign: Campaign, release: Any) -> None:
    campaign.shelf.announce(release.document(type="gateway", version="9.9.9"), release.NOW)
    batch = campaign.begun(meters=["gw-1"], wish=campaign.wish(version="9.9.9"))
    (update,) = campaign.left()
    assert (update.kind, update.gateway, update.meter) == ("gateway.update", "gw-1", "")
    firmware.check(parameters.of(update), update.image_hash, release.keys)
    campaign.head_end.answer(update, "confirmed", findings=Findings(firmware_after="9.9.9"))
    campaign.turn()
    assert campaign.batch(batch).state == "done"
