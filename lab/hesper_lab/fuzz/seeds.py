"""The first inputs of every corpus, from our own encoders and the simulator's captures.

    python -m hesper_lab.fuzz.seeds

writes them into the corpora; what campaigns found stays there too.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Final

from hesper_dlms import apdu, axdr, obis
from hesper_dlms.apdu import CosemAttribute, CosemMethod, DataBlock
from hesper_dlms.classes.registry import REGISTRY
from hesper_dlms.hdlc.address import client_octets, server_octets
from hesper_dlms.hdlc.frames import Frame
from hesper_dlms.security import SecurityContext
from hesper_dlms.wrapper import wrap

from hesper_lab.fuzz import corpus, readable_seeds
from hesper_lab.fuzz.inputs import joined
from hesper_lab.fuzz.meter import (
    CLIENT_TITLE,
    ENERGY,
    LONG,
    METER_TITLE,
    PASSWORD,
    RELAY,
    SECURITY,
    FuzzMeter,
)

_INVOKE: Final = 0xC1
_TIME: Final = bytes.fromhex("07ea0101ff0a0f0000ffc400")
_NAME: Final = obis.ACTIVE_ENERGY_IMPORT


def captures() -> list[tuple[str, bytes]]:
    """Return link and octets of every capture that the simulator replays."""
    found = []
    for file in resources.files("hesper_sim.captures").iterdir():
        if file.name.endswith(".json"):
            capture: dict[str, Any] = json.loads(file.read_text())
            found.append((str(capture["link"]), bytes.fromhex(capture["hex"])))
    return found


def values() -> list[bytes]:
    """Return one value of every type, nested and packed ones too."""
    rows = [
        axdr.structure(axdr.octet_string(_TIME), axdr.double_long_unsigned(100 + row))
        for row in range(3)
    ]
    simple = [
        axdr.null_data(),
        axdr.boolean(True),
        axdr.bit_string("10110"),
        axdr.double_long(-5),
        axdr.octet_string(_NAME),
        axdr.visible_string("HSP1"),
        axdr.utf8_string("Zähler"),
        axdr.integer(-3),
        axdr.long_(-300),
        axdr.unsigned(3),
        axdr.long_unsigned(300),
        axdr.long64(-(1 << 40)),
        axdr.long64_unsigned(1 << 40),
        axdr.enum(30),
        axdr.float32(1.5),
        axdr.float64(float("inf")),
        axdr.date_time(_TIME),
    ]
    nested = [axdr.structure(*simple), axdr.array(*rows), axdr.compact_array(*rows)]
    null_rows = axdr.array(*rows, axdr.structure(axdr.null_data(), axdr.null_data()))
    return [axdr.encode(each) for each in (*simple, *nested, null_rows)]


def requests() -> list[bytes]:
    """Return a request of every service, plain."""
    attribute, method = CosemAttribute(1, _NAME, 2), CosemMethod(70, _NAME, 1)
    value = axdr.encode(axdr.octet_string(bytes(20)))
    block, last = DataBlock(False, 1, value[:10]), DataBlock(True, 2, value[10:])
    entry = apdu.EntrySelector(1, 2, 1, 0).to_selection()
    built: list[apdu.Apdu] = [
        apdu.GetRequestNormal(_INVOKE, ENERGY, None),
        apdu.GetRequestNormal(_INVOKE, LONG, entry),
        apdu.GetRequestNext(_INVOKE, 1),
        apdu.GetRequestWithList(_INVOKE, ((ENERGY, None), (LONG, entry))),
        apdu.SetRequestNormal(_INVOKE, attribute, value),
        apdu.SetRequestFirstBlock(_INVOKE, attribute, block),
        apdu.SetRequestBlock(_INVOKE, last),
        apdu.SetRequestWithList(_INVOKE, ((attribute, None),), (value,)),
        apdu.ActionRequestNormal(_INVOKE, RELAY, value),
        apdu.ActionRequestNextBlock(_INVOKE, 1),
        apdu.ActionRequestFirstBlock(_INVOKE, method, block),
        apdu.ActionRequestBlock(_INVOKE, last),
        apdu.Rlrq(),
        apdu.InitiateRequest(apdu.LOGICAL_NAME_SERVICES, 1024, bytes(16)),
        *_associations(),
    ]
    return [each.to_octets() for each in built]


def _associations() -> list[apdu.Aarq]:
    context = apdu.ApplicationContext
    initiate = apdu.InitiateRequest(apdu.LOGICAL_NAME_SERVICES, 1024, None).to_octets()
    return [
        apdu.Aarq(context.LOGICAL_NAME, initiate),
        apdu.Aarq(context.LOGICAL_NAME, initiate, apdu.Mechanism.LOW, PASSWORD),
        apdu.Aarq(
            context.LOGICAL_NAME, initiate, apdu.Mechanism.HIGH_GMAC, bytes(16), CLIENT_TITLE
        ),
    ]


def responses() -> list[bytes]:
    """Return an answer of every service, plain."""
    value = axdr.encode(axdr.octet_string(bytes(20)))
    block, last = DataBlock(False, 1, value[:10]), DataBlock(True, 2, value[10:])
    granted = apdu.InitiateResponse(apdu.LOGICAL_NAME_SERVICES, 1024).to_octets()
    context = apdu.ApplicationContext.LOGICAL_NAME
    built: list[apdu.Apdu] = [
        apdu.GetResponseNormal(_INVOKE, value),
        apdu.GetResponseNormal(_INVOKE, 3),
        apdu.GetResponseWithBlock(_INVOKE, block),
        apdu.GetResponseWithBlock(_INVOKE, last),
        apdu.GetResponseWithList(_INVOKE, (value, 4)),
        apdu.SetResponseNormal(_INVOKE, 0),
        apdu.SetResponseBlock(_INVOKE, 1),
        apdu.SetResponseLastBlock(_INVOKE, 0, 2),
        apdu.SetResponseWithList(_INVOKE, (0, 3)),
        apdu.ActionResponseNormal(_INVOKE, 0, value),
        apdu.ActionResponseNormal(_INVOKE, 0, 4),
        apdu.ActionResponseBlock(_INVOKE, last),
        apdu.ActionResponseNextBlock(_INVOKE, 1),
        apdu.Aare(context, 0, 0, granted),
        apdu.Aare(context, 0, 14, granted, apdu.Mechanism.HIGH_GMAC, bytes(16), METER_TITLE),
        apdu.Aare(context, 1, 13),
        apdu.Rlre(),
        apdu.DataNotification(1, _TIME, values()[-1]),
        apdu.EventNotification(_TIME, ENERGY, value),
        apdu.ExceptionResponse(1, 6, 77),
        apdu.ConfirmedServiceError(1, 6, 3),
    ]
    return [each.to_octets() for each in built]


def protected() -> list[bytes]:
    """Return requests and answers ciphered with the targets' keys."""
    meter = SecurityContext(SECURITY, METER_TITLE, CLIENT_TITLE)
    return [meter.protect(each, number) for number, each in enumerate(responses(), start=1)]


def _hdlc(message: bytes, control: int) -> bytes:
    return Frame(client_octets(16), server_octets(1, 17), control, message).to_octets()


def _link_seeds() -> dict[str, list[bytes]]:
    plain = responses()
    wrapped = [wrap(1, 102, each) for each in plain]
    framed = [_hdlc(b"\xe6\xe7\x00" + each, 0x30) for each in plain]
    answers = [b"\x00\x30\xe6\xe7\x00" + each for each in plain]
    seeds = {
        "hdlc-frames": framed,
        "wrapper-frames": wrapped,
        "hdlc-link": [joined(state, each) for state in (b"\x00", b"\x01") for each in answers],
        "push-datagrams": [joined(*plain[-4:]), joined(*protected()[-4:])],
        "push-wrapper": wrapped,
        "push-raw": [*plain, *protected()],
        "push-hdlc": framed,
        "push-mbus": [],
        "mbus-frames": [],
    }
    for link, octets in captures():
        for name in (f"push-{link}", f"{link}-frames"):
            seeds.get(name, []).append(octets)
    return seeds


def seeds() -> dict[str, list[bytes]]:
    """Return the first inputs of every target."""
    return {
        **_value_seeds(),
        **_service_seeds(),
        **_server_seeds(),
        **_client_seeds(),
        **_link_seeds(),
        **_readable_seeds(),
        "mode-e": [
            joined(b"/HXE5\\2HXE12\r\n", b"\x06252\r\n"),
            joined(b"/?!\r\n", b"\x06252\r\n"),
        ],
        "certificate": [b"\x30\x03\x02\x01\x00"],
    }


def _readable_seeds() -> dict[str, list[bytes]]:
    asked, answered = requests(), responses()
    wrapped = [wrap(1, 102, each) for each in protected()[:4]]
    framed = [_hdlc(b"\xe6\xe7\x00" + each, 0x30) for each in answered[:4]]
    overheard = [octets for _, octets in captures()]
    return readable_seeds.seeds(asked, answered, [*wrapped, *framed, *overheard])


def _value_seeds() -> dict[str, list[bytes]]:
    plain = values()
    return {
        "axdr": plain,
        "compact-array": [each[1:] for each in plain if each[0] == axdr.Tag.COMPACT_ARRAY],
        "cosem-time": [_TIME, bytes(12), b"\xff" * 12, _TIME[:9] + b"\x80\x00\x80"],
        "profile-buffer": [b"\x00\x01" + each for each in plain],
        "push-body": [bytes((layout,)) + each for layout in range(4) for each in plain],
        "class-attribute": [
            bytes((number, attribute)) + each
            for number in range(0, len(REGISTRY), 3)
            for attribute in (1, 2)
            for each in plain[::5]
        ],
        "short-name-view": [axdr.encode(FuzzMeter.short_names.object_list())],
    }


def _service_seeds() -> dict[str, list[bytes]]:
    asked, answered = requests(), responses()
    half = len(answered[0]) // 2
    blocks = [
        apdu.GeneralBlockTransfer(last, True, 1, number, 0, part).to_octets()
        for last, number, part in ((False, 1, answered[0][:half]), (True, 2, answered[0][half:]))
    ]
    return {
        "apdu": [*asked, *answered, *blocks, *protected()],
        "aarq": [each[1:] for each in asked if each[0] == apdu.aarq.AARQ],
        "aare": [each[1:] for each in answered if each[0] == apdu.aare.AARE],
        "ciphered": protected(),
        "ciphered-inside": answered,
        "gbt": [joined(*blocks), joined(blocks[1], blocks[0])],
        "gbt-exchange": [
            b"\x40\x02" + joined(bytes(200), *blocks),
            b"\x01\x00" + joined(*blocks, bytes(200), blocks[0]),
        ],
    }


def _server_seeds() -> dict[str, list[bytes]]:
    asked = requests()

    def starting(starts: str, messages: list[bytes]) -> list[bytes]:
        return [
            bytes((start,)) + joined(bytes((kind,)) + each)
            for start in bytes.fromhex(starts)
            for kind in range(2)
            for each in messages
        ]

    return {
        "server": starting("00 0c 0d 0e 06", asked),
        "server-hdlc": [
            joined(_server_frame(b"", 0x93), _server_frame(b"\xe6\xe6\x00" + each, 0x10))
            for each in asked
            if len(each) < 200
        ],
        "server-short-names": starting("00 0c 0d", _by_short_names()),
    }


def _client_seeds() -> dict[str, list[bytes]]:
    answered = responses()
    return {
        "client": [
            bytes((start,)) + joined(b"\x00" + each)
            for start in range(24)
            for each in answered[start % 3 :: 3]
        ],
        "client-altered": [b"", joined(b"\x05\x01"), joined(b"", b"\x20\x80")],
        "client-short-names": [
            bytes((start,)) + joined(b"\x00" + each)
            for start in range(24)
            for each in (b"\x0c\x01\x00\x06\x00\x00\x00\x01", b"\x0d\x01\x00")
        ],
    }


def _by_short_names() -> list[bytes]:
    """Return requests by short names: read, parameterized read, write, and the association."""
    initiate = apdu.InitiateRequest(apdu.LOGICAL_NAME_SERVICES, 1024, None).to_octets()
    return [
        bytes.fromhex("0501021008"),
        bytes.fromhex("050202100802fa08"),
        bytes.fromhex("0501042008020206000000010600000002"),
        bytes.fromhex("06010220080109020102"),
        apdu.Aarq(apdu.ApplicationContext.SHORT_NAME, initiate).to_octets(),
        apdu.Rlrq().to_octets(),
    ]


def _server_frame(message: bytes, control: int) -> bytes:
    return Frame(server_octets(1, 17), client_octets(16), control, message).to_octets()


if __name__ == "__main__":
    for target, inputs in seeds().items():
        corpus.save(target, [*inputs, *corpus.load(target)])
