"""Firmware for simulated meters: signed by two, brought in waves, activated by another approval."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from hesper_sim.objects import image_transfer

sys.path.insert(0, str(Path(__file__).parent))
from release_papers import signed

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
GATEWAY = "gw-lan"
VERSION = "HSP-FW 1.5.0"
TERMS = {"canary": 1, "wave_size": 3, "per_hour": 360_000, "stop_percent": 10}
WITHIN_S = 300


class Release:
    """One image, with the manifest that the site's two people sign."""

    def __init__(self, hesper: Any, octets: bytes) -> None:
        self.hesper, self.octets = hesper, octets
        self.image_hash = hashlib.sha256(octets).hexdigest()

    def document(self, signers: int = 2) -> bytes:
        return signed(self.hesper.site, VERSION, self.octets, signers)[0]

    def bring(self, **changes: Any) -> None:
        given = {"document": self.document(), "octets": self.octets} | changes
        self.hesper.operator.bring_image(image_hash=self.image_hash, **given)

    def propose(self, meters: list[str]) -> str:
        """Propose a campaign and approve it; return its id."""
        view = self.hesper.operator.propose_campaign(self.wish() | {"names": meters})
        self.hesper.approver.decide_campaign(view["batch"], "approve")
        return str(view["batch"]["id"])

    def wish(self) -> dict[str, Any]:
        return {"image": self.image_hash, "version": VERSION, "reason": "release 1.5", **TERMS}


def campaign(hesper: Any, campaign_id: str) -> dict[str, Any]:
    told: dict[str, Any] = hesper.operator.get(f"/firmware/campaigns/{campaign_id}")
    return told


def until_state(hesper: Any, campaign_id: str, *states: str) -> dict[str, Any]:
    def found() -> bool:
        return campaign(hesper, campaign_id)["batch"]["state"] in states

    try:
        hesper.eventually(found, f"the campaign is {' or '.join(states)}", WITHIN_S)
    except AssertionError as late:
        rows = hesper.operator.get(f"/batches/{campaign_id}/rows")
        commands = hesper.operator.get("/commands", limit="20")
        raise AssertionError(f"{campaign(hesper, campaign_id)} {rows} {commands}") from late
    return campaign(hesper, campaign_id)


def restart(hesper: Any, child: str) -> None:
    """Kills a process and starts it again."""
    hesper.processes.children[child].kill()
    hesper.processes.restart(child)


@pytest.fixture
def meters(hesper: Any) -> list[str]:
    """Four meters of one gateway that no earlier test has touched."""
    taken = {each["meter"] for each in hesper.records("image")}
    return [meter for meter in hesper.meters_of(GATEWAY) if meter not in taken][:4]


def test_what_is_not_signed_by_two_or_is_altered_is_not_kept(hesper: Any) -> None:
    release = Release(hesper, image_transfer.build(VERSION, 5_000))
    with pytest.raises(httpx.HTTPStatusError):
        release.bring(document=release.document(signers=1))
    with pytest.raises(httpx.HTTPStatusError):
        release.bring(octets=b"x" + release.octets[1:])
    kept = {
        each["image_hash"]: each["is_whole"] for each in hesper.operator.get("/firmware/images")
    }
    assert kept[release.image_hash] is False


def test_a_campaign_that_fails_at_its_canary_stops_by_itself(hesper: Any, meters: Any) -> None:
    release = Release(hesper, b"no firmware that a meter could verify" * 200)
    release.bring()
    told = until_state(hesper, release.propose(meters), "stopped", "done")
    assert told["batch"]["state"] == "stopped"
    funnel = told["funnel"]
    assert (funnel["targeted"], funnel["downloaded"], funnel["verified"]) == (4, 1, 0)
    assert funnel["failed"] == 1
    told_of_images = {each["meter"] for each in hesper.records("image")}
    assert told_of_images & set(meters) == {meters[0]}


def test_head_end_and_gateway_are_killed_in_mid_transfer_and_it_goes_on(
    hesper: Any, meters: Any
) -> None:
    release = Release(hesper, image_transfer.build(VERSION, 100_000))
    release.bring()
    config = hesper.site.gateways / GATEWAY / "gateway.toml"
    slow = "\n[firmware]\nblocks_in_flight = 1\noctets_per_s = 20000\n"
    config.write_text(config.read_text() + slow)
    restart(hesper, GATEWAY)
    campaign_id = release.propose(meters)
    part = hesper.site.gateways / GATEWAY / "state" / "images" / f"{release.image_hash}.part"
    for child, blocks in (("cloud", 1), (GATEWAY, 3)):
        hesper.eventually(
            lambda count=blocks: part.exists() and part.stat().st_size >= count * 16_384,
            f"{blocks} blocks have come",
        )
        restart(hesper, child)
    hesper.wait_until_well()
    told = until_state(hesper, campaign_id, "done", "stopped")
    assert told["batch"]["state"] == "done", told["batch"]["detail"]
    assert (told["funnel"]["verified"], told["funnel"]["activated"]) == (4, 0)
    begun = [each for each in hesper.records("image") if each["step"] == "initiate"]
    assert {each["meter"] for each in begun} >= set(meters)

    activation = hesper.operator.propose_campaign(release.wish(), activates=campaign_id)
    assert activation["state"] == "awaiting_approval"
    hesper.approver.decide_campaign(activation, "approve")
    hesper.eventually(
        lambda: campaign(hesper, campaign_id)["funnel"]["confirmed"] == len(meters),
        "the new version is read back of every meter",
        WITHIN_S,
    )
    assert campaign(hesper, campaign_id)["funnel"] == {
        "targeted": 4,
        "excluded": 0,
        "downloaded": 4,
        "verified": 4,
        "activated": 4,
        "confirmed": 4,
        "failed": 0,
    }
    again = hesper.operator.propose_campaign(release.wish() | {"names": meters})
    assert campaign(hesper, again["batch"]["id"])["funnel"]["excluded"] == 4
