"""The captured frames, ready to be received."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hesper_dlms.hdlc.frames import Frame, FrameReader
from hesper_dlms.oneshot import PushedMessage, PushReceiver
from hesper_dlms.security import SecuritySettings


class Capture(NamedTuple):
    """One capture and what it decodes to."""

    name: str
    link: str
    octets: bytes
    encryption_key: str | None
    authentication_key: str | None
    record: dict[str, Any]

    def receiver(self, link: str | None = None) -> PushReceiver:
        """Return a receiver that holds the capture's keys."""
        if self.encryption_key is None:
            return PushReceiver(link or self.link)
        authentication = self.authentication_key
        keys = SecuritySettings(
            0,
            bytes.fromhex(self.encryption_key),
            None if authentication is None else bytes.fromhex(authentication),
            authentication_key_unknown=authentication is None,
            any_suite=True,
        )
        return PushReceiver(link or self.link, keys)


def public() -> list[Capture]:
    """Return the captures of this folder."""
    found = json.loads(Path(__file__).with_name("public.json").read_text())
    return [
        Capture(
            each["name"],
            each["link"],
            bytes.fromhex(each["hex"]),
            each["encryption_key"],
            None,
            each,
        )
        for each in found
    ]


def simulated() -> list[Capture]:
    """Return the captures that the simulator replays."""
    folder = resources.files("hesper_sim.captures")
    found = [json.loads(item.read_text()) for item in folder.iterdir() if item.name[-5:] == ".json"]
    return [
        Capture(
            each["name"],
            each["link"],
            bytes.fromhex(each["hex"]),
            each["encryption_key"],
            each["authentication_key"],
            each,
        )
        for each in sorted(found, key=lambda each: each["name"])
    ]


def received(receiver: PushReceiver, chunks: list[bytes]) -> list[dict[str, Any]]:
    """Return messages and drops, in order, in plain JSON; a body that cannot be read is a drop."""
    found = [each for chunk in chunks for each in receiver.receive(chunk)] + receiver.finish()
    shown: list[dict[str, Any]] = []
    for each in found:
        if isinstance(each, PushedMessage):
            shown.append(each.to_json())
        else:
            shown.append({"offset": each.offset, "reason": each.reason})
    return shown


PUBLIC = public()
DECODABLE = [each for each in PUBLIC if each.record["messages"]]
EVERY = DECODABLE + [each for each in simulated() if not each.record["dropped"]]


@pytest.fixture(params=PUBLIC, ids=lambda each: each.name)
def published(request: pytest.FixtureRequest) -> Capture:
    """Each public capture."""
    capture: Capture = request.param
    return capture


FRAMED = [each for each in EVERY if each.link != "raw"]


def whole_frames(capture: Capture) -> list[Frame]:
    """Return the frames of an HDLC capture; none when one of them is damaged."""
    frames = FrameReader().receive(capture.octets) if capture.link == "hdlc" else []
    return frames if all(frame.fcs_right for frame in frames) else []


OVER_HDLC = [each for each in FRAMED if whole_frames(each)]


@pytest.fixture(params=FRAMED, ids=lambda each: each.name)
def capture(request: pytest.FixtureRequest) -> Capture:
    """Each framed capture of which something can be decoded, the simulator's too."""
    found: Capture = request.param
    return found


@pytest.fixture(params=OVER_HDLC, ids=lambda each: each.name)
def over_hdlc(request: pytest.FixtureRequest) -> tuple[Capture, list[Frame]]:
    """Each of them over HDLC, and its frames."""
    found: Capture = request.param
    return found, whole_frames(found)


@pytest.fixture
def receive() -> Any:
    """`receive(receiver, chunks)`: messages and drops in plain JSON."""
    return received
