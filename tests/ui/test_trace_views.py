"""What is told of a trace at a glance."""

import pytest
from hesper_cloud.services.conversations import UtteranceRow
from hesper_ui.views.conversations import glance, is_warning, spaced


def uttered(*lines: str, what: str = "received") -> UtteranceRow:
    return UtteranceRow(None, what, "", 0, lines)


@pytest.mark.parametrize(
    ("utterance", "told"),
    [
        (uttered("nothing arrived for 5 s", what="note"), ("nothing arrived for 5 s", "")),
        (
            uttered("HDLC UA to 21 from 00020023", "  window: 1"),
            ("HDLC UA to 21 from 00020023", ""),
        ),
        (
            uttered(
                "wrapper from wPort 1 to wPort 1",
                "  Ciphered (44 octets)",
                "    tag: CC glo-get-response",
                "    tag verified",
                "    GetResponseNormal (9 octets)",
                "      invoke_id_and_priority: 193 (0xC1)",
                "      result: ",
                "        double-long-unsigned 5000",
            ),
            ("GetResponseNormal", "double-long-unsigned 5000"),
        ),
        (
            uttered(
                "Aarq (31 octets)",
                "  user_information: ",
                "    InitiateRequest (14 octets)",
                "      conformance: 005E1F get, set",
                "  mechanism: 1 low",
                "  authentication_value: not shown",
            ),
            ("Aarq", "mechanism: 1 low"),
        ),
        (
            uttered("Ciphered (44 octets)", "  cannot be opened: no key"),
            ("Ciphered", "cannot be opened: no key"),
        ),
        (
            uttered(
                "GetResponseWithList (9 octets)", *[f"  {n}: unsigned {n}" for n in range(1, 7)]
            ),
            ("GetResponseWithList", "unsigned 1 · unsigned 2 · unsigned 3 · unsigned 4 · +2"),
        ),
        (uttered(), ("", "")),
    ],
)
def test_a_glance_tells_the_innermost_apdu_and_its_values(utterance, told):
    assert glance(utterance) == told


def test_octets_have_room_between_them():
    assert spaced("7ea0**ff") == "7e a0 ** ff"
    assert spaced("") == ""


def test_what_was_refused_or_ended_there_is_a_warning():
    assert is_warning(uttered("stopped, timeout: no answer", what="note"))
    assert is_warning(uttered("wrapper", "  ExceptionResponse (3 octets)"))
    assert is_warning(uttered("Aare (43 octets)", "  result: 1 rejected-permanent"))
    assert is_warning(uttered("Ciphered (9 octets)", "  cannot be opened: the tag is wrong"))
    assert not is_warning(uttered("Aare (43 octets)", "  result: 0 accepted"))
    assert not is_warning(uttered("GetResponseNormal (9 octets)", "  result: 4 object-undefined"))
    assert not is_warning(uttered("the line is open", what="note"))
