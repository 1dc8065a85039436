"""A recorded conversation over real lines: what was said and meant, and no secret in any of it."""

import random

import pytest
from hesper_contracts import jsonbody
from hesper_contracts.conversation import OCTETS_MAX, TEXT_MAX, UTTERANCES_MAX, Conversation
from hesper_contracts.parameters import ReadConversation
from hesper_dlms.apdu import Aarq, InitiateRequest
from hesper_dlms.apdu.initiate import LOGICAL_NAME_SERVICES
from hesper_dlms.association import Authentication
from hesper_dlms.hdlc.frames import Frame, FrameReader, information_control
from hesper_dlms.server import ClientRole
from hesper_gateway import templates
from hesper_gateway.config import TcpLine
from hesper_gateway.errands.conversation import conversation
from hesper_gateway.errands.telling import tell
from hesper_gateway.errors import CommandExpired
from hesper_gateway.lines.line import Line
from hesper_gateway.lines.recording import Recorder
from hesper_gateway.lines.tcp import TcpCarrier
from hesper_gateway.sessions.insight import Insight

ENERGY, MISSING = "1.0.1.8.0.255", "1.0.250.8.0.255"
PASSWORD = b"Kirschbaum-7"
LONG = PASSWORD * 10
"""Longer than one HDLC frame of 128 octets takes."""
SECRETS = (bytes(range(16)), bytes(range(0xD0, 0xE0)))
"""The keys of the bench's meter."""


def granted():
    """A command whose time is not over."""


async def told(session, *names):
    report = await conversation(session, ReadConversation(logical_names=names), granted)
    found = report.findings.conversation
    assert jsonbody.decode(jsonbody.encode(found), Conversation) == found
    return report, found


def words(found, what=None):
    return "\n".join(
        line for each in found.utterances for line in each.says if what in (None, each.what)
    )


def octets(found, what):
    """What is shown of one side, `**` where something is not."""
    return "".join(each.octets for each in found.utterances if each.what == what)


def leaked(found, *secrets):
    """Which secrets stand in what would be published, however they are written."""
    published = jsonbody.encode(found).decode().lower()
    bare = published.replace(" ", "")
    spelled = {each: (each.hex(), each.decode("latin-1").lower()) for each in secrets}
    return [
        each
        for each, ways in spelled.items()
        if any(way in published or way in bare for way in ways)
    ]


def with_password(bench, meter, password):
    """Let a meter and its gateway agree on LLS, in the clear; return what differs in a session."""
    meter.clients = {16: ClientRole(), 1: ClientRole(Authentication.LOW, password=password)}
    own = templates.load("hesper-sim").associations.reading.model_copy(
        update={"authentication": "low", "ciphered": False}
    )
    roles = templates.load("hesper-sim").associations.model_copy(update={"reading": own})
    return {
        "changed": {"associations": {"reading": own, "public": roles.public}},
        "password": password,
    }


async def test_a_ciphered_conversation_is_told_decoded(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        report, found = await told(bench.session(line), ENERGY, MISSING)
    assert report.done
    assert report.registers == {ENERGY: (5000, 0, 30)}
    assert report.findings.missing == (MISSING,)
    whole = words(found)
    for said in (
        "Aarq",
        "Aare",
        "result: 0 accepted",
        bench.NAME,
        ENERGY,
        "tag verified",
        "object-undefined",
        "5000",
    ):
        assert said in whole
    sides = [each.what for each in found.utterances]
    assert sides[0] == sides[-1] == "note"
    assert found.utterances[0].says == ("the line is open",)
    assert {"sent", "received"} <= set(sides)
    assert [each.at for each in found.utterances] == sorted(each.at for each in found.utterances)
    assert not found.truncated
    assert found.octets_sent == sum(
        each.octet_count for each in found.utterances if each.what == "sent"
    )
    assert len(octets(found, "received")) == 2 * found.octets_received
    assert leaked(found, *SECRETS) == []


async def test_a_challenge_is_in_neither_octets_nor_words(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        _, found = await told(bench.session(line))
    aarq = next(each for each in found.utterances if "authentication_value" in " ".join(each.says))
    assert "**" in aarq.octets
    assert aarq.octets.startswith("0001")
    assert any(line.strip() == "authentication_value: not shown" for line in aarq.says)
    assert len(aarq.octets) == 2 * aarq.octet_count


@pytest.mark.parametrize("password", [PASSWORD, LONG], ids=["in one frame", "in several frames"])
async def test_a_password_in_the_clear_never_leaves(bench, password):
    meter, server = bench.meter()
    changes = with_password(bench, meter, password)
    async with bench.over_hdlc({17: server}) as line:
        config = bench.config(template="hesper-sim-hdlc", physical_address=17)
        report, found = await told(bench.session(line, config, **changes), ENERGY)
    assert report.done, report.detail
    assert "SNRM" in words(found, "sent")
    assert "UA" in words(found, "received")
    assert "5000" in words(found, "received")
    assert leaked(found, password, PASSWORD) == []
    assert "**" in octets(found, "sent")
    assert "**" not in octets(found, "received")


async def test_a_secret_that_the_meter_repeats_is_starred_wherever_it_stands(bench):
    meter, server = bench.meter(name=f"X{PASSWORD.decode()}")
    changes = with_password(bench, meter, PASSWORD)
    async with bench.over_tcp(server) as line:
        config = bench.config(logical_device_name=None)
        report, found = await told(bench.session(line, config, **changes))
    assert report.done, report.detail
    assert "**" in octets(found, "received")
    assert '"X**"' in words(found, "received")
    assert leaked(found, PASSWORD) == []


async def test_a_silent_meter_shows_what_was_sent_and_when_it_was_given_up(bench):
    _, server = bench.meter()
    bench.silent = True
    async with bench.over_tcp(server) as line:
        report, found = await told(bench.session(line, answers_within_s=0.3), ENERGY)
    assert report.done is False
    assert report.detail
    assert found.octets_received == 0
    assert "Aarq" in words(found, "sent")
    assert "nothing arrived for 0.3 s" in words(found, "note")
    assert found.utterances[-1].says == (f"stopped, timeout: {report.detail}",)


async def test_a_bus_on_which_nobody_answers_shows_every_try(bench):
    _, server = bench.meter()
    async with bench.over_hdlc({18: server}) as line:
        config = bench.config(template="hesper-sim-hdlc", physical_address=17)
        report, found = await told(bench.session(line, config, answers_within_s=0.3))
    assert report.done is False
    sent = [each for each in found.utterances if each.what == "sent"]
    assert len(sent) > 1
    assert all("SNRM" in each.says[0] for each in sent)
    assert "nothing arrived" in words(found, "note")


async def test_a_line_that_cannot_be_opened_is_told_too(bench, free_port):
    config = TcpLine(name="test", kind="tcp", host="127.0.0.1", port=free_port)
    report, found = await told(bench.session(Line("test", TcpCarrier(config))))
    assert report.done is False
    (only,) = found.utterances
    assert only.what == "note"
    assert only.says[0].startswith("stopped, line: ")


async def test_refused_credentials_are_told_with_the_meters_reason(bench):
    meter, server = bench.meter()
    changes = with_password(bench, meter, PASSWORD) | {"password": b"another-one"}
    async with bench.over_tcp(server) as line:
        report, found = await told(bench.session(line, **changes))
    assert report.done is False
    assert "authentication-failure" in words(found, "received")
    assert leaked(found, b"another-one", PASSWORD) == []


async def test_the_dedicated_key_opens_what_it_ciphers_and_stays_here(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        security = {"dedicated_key": True}
        report, found = await told(bench.session(line, changed={"security": security}), ENERGY)
    assert report.done
    assert "dedicated_key: not shown" in words(found, "sent")
    assert "ded-get-request" in words(found, "sent")
    assert "5000" in words(found, "received")
    assert "cannot be opened" not in words(found)


async def test_an_association_that_stayed_open_is_ended_first_and_none_is_left(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line, changed={"times": {"keep_open_s": 60.0}})
        async with session.reading():
            pass
        assert bench.open_count == 1
        _, found = await told(session)
        assert "Aarq" in words(found, "sent")
        assert ("Rlrq" in words(found, "sent"), "the line is closed" in words(found, "note")) == (
            True,
            True,
        )
        assert line.open_until is None
        await bench.until_all_ended()


async def test_a_command_whose_time_is_over_opens_nothing(bench):
    def over():
        raise CommandExpired("too late")

    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        with pytest.raises(CommandExpired):
            await conversation(bench.session(line), ReadConversation(), over)
    assert bench.connections == 0


def recorder():
    return Recorder(lambda: 1_790_000_000.0, UTTERANCES_MAX, OCTETS_MAX)


def knowing(*secrets):
    return Insight(None, bytes(8), None, frozenset(secrets))


def test_pieces_are_one_utterance_and_frames_are_whole():
    heard = recorder()
    frame = bytes.fromhex("7ea00a00020023219318717e")
    for octet in frame:
        heard.received(bytes((octet,)))
    (only,) = tell(heard, knowing()).utterances
    assert (bytes.fromhex(only.octets), only.octet_count) == (frame, len(frame))
    assert "SNRM" in only.says[0]
    assert FrameReader().receive(frame)


def test_what_does_not_fit_is_counted_and_said():
    heard = recorder()
    heard.sent(b"\x01" * (OCTETS_MAX - 10))
    heard.received(b"\x02" * 6)
    heard.received(b"\x02" * 6)
    heard.sent(b"\x03" * 10)
    for number in range(UTTERANCES_MAX):
        heard.note(f"note {number}")
    found = tell(heard, knowing())
    assert found.truncated
    assert (len(found.utterances), found.utterance_count) == (UTTERANCES_MAX, UTTERANCES_MAX + 3)
    assert (found.octets_sent, found.octets_received) == (OCTETS_MAX, 12)
    second = found.utterances[1]
    assert (second.octets, second.octet_count) == ("", 12)
    assert second.says == ("12 octets, not recorded: there is no more room",)
    assert found.utterances[2].octets == "03" * 10


def test_words_without_end_are_cut_and_said():
    heard = recorder()
    nulls = b"\x01\x82\x0f\xa0" + b"\x00" * 4000  # an array of 4000 null-data
    heard.received(b"\xc4\x01\xc1\x00" + nulls)
    found = tell(heard, knowing())
    assert found.truncated
    assert sum(len(line) for line in found.utterances[0].says) <= TEXT_MAX
    assert "array of 4000" in words(found)


@pytest.mark.parametrize(
    "line",
    ["7ea0" + PASSWORD.hex(), "00ff" * 8 + PASSWORD.hex() + "00", PASSWORD.hex()],
    ids=["in a broken frame", "in noise", "alone"],
)
def test_noise_that_holds_a_secret_is_starred(line):
    heard = recorder()
    heard.received(bytes.fromhex(line))
    assert leaked(tell(heard, knowing(PASSWORD)), PASSWORD) == []


def i_frame(information, *, segmented=False, send=0):
    control = information_control(send, 0)
    return Frame(b"\x00\x02\x00\x23", b"\x21", control, information, segmented).to_octets()


def aarq(password):
    request = InitiateRequest(LOGICAL_NAME_SERVICES).to_octets()
    return b"\xe6\xe6\x00" + Aarq(1, request, 1, password).to_octets()


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "given up in between"])
@pytest.mark.parametrize("again", [1, 2], ids=["once", "sent again"])
def test_no_part_of_a_password_is_shown(is_whole, again):
    heard, request = recorder(), aarq(LONG)
    for _ in range(again):
        heard.sent(i_frame(request[:100], segmented=True))
        heard.note("nothing arrived for 5 s")
    if is_whole:
        heard.sent(i_frame(request[100:], send=1))
    found = tell(heard, knowing())
    assert {*octets(found, "sent")} == {"*"}
    assert "segment of 100 octets, more follow" in words(found)


@pytest.mark.parametrize("altered", [0, 6, 11])
def test_an_echo_that_noise_has_altered_shows_no_half_of_a_password(altered):
    frame = i_frame(aarq(PASSWORD))
    at = frame.index(PASSWORD) + altered
    noisy = frame[:at] + bytes((frame[at] ^ 0x80,)) + frame[at + 1 :]
    heard = recorder()
    heard.received(b"\x7e" + noisy[2:])  # a length that noise has altered too
    shown = octets(tell(heard, knowing(PASSWORD)), "received")
    assert "**" in shown
    halves = [PASSWORD[place : place + 6].hex() for place in range(7)]
    assert not any(half in shown for half in halves)


def test_whatever_a_meter_says_is_told_within_bounds():
    chance = random.Random(7)
    said = [
        i_frame(aarq(PASSWORD)),
        bytes.fromhex("c401c100090c07ea0915010e0f000000000000"),
        bytes.fromhex("000100010001000bcc1a30000000071931"),
        b"\xc4\x01\xc1\x00\x09\x0c[/red]\\[bold]" + b"\x13\x82\xff",
    ]
    for _ in range(60):
        heard = recorder()
        for _ in range(8):
            octets = bytearray(chance.choice(said))
            for _ in range(chance.randrange(6)):
                octets[chance.randrange(len(octets))] = chance.randrange(256)
            chance.choice((heard.sent, heard.received))(octets[chance.randrange(3) :])
        found = tell(heard, knowing(PASSWORD))
        assert jsonbody.decode(jsonbody.encode(found), Conversation) == found
        assert leaked(found, PASSWORD) == []


def test_a_password_of_digits_is_no_reason_to_star_other_numbers():
    heard = recorder()
    heard.note("it says 00000000, and 1000000001")
    found = tell(heard, knowing(b"00000000"))
    assert found.utterances[0].says == ("it says **, and 1000000001",)
