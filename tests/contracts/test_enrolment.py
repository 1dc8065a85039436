"""Tokens, asks and answers of enrolment, and everything that was tried on them."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hesper_contracts import enrolment, jsonbody
from hesper_contracts.enrolment import Answer, Ask, Configuration, File, Secrets, Token
from hesper_contracts.frame import Refused
from hesper_contracts.signing import Signer

HEAD_END, DEVICE = Signer.generate(), Signer.generate()
SEALING = X25519PrivateKey.generate()
TOKEN = Token.make("gw-7", HEAD_END.public_key)
SECRETS = Secrets(Configuration((File("gateway.toml", b"state = 1"),)), "the password")


def ask_of(token: Token, device: Signer = DEVICE) -> Ask:
    return Ask(
        gateway=token.gateway,
        token_digest=token.digest,
        signing_key=device.public_key,
        sealing_key=SEALING.public_key().public_bytes_raw(),
    )


ASK = enrolment.sign_ask(ask_of(TOKEN), DEVICE)
DIGEST = enrolment.digest_of(ASK)


def answer_of(head_end: Signer = HEAD_END, ask: bytes = DIGEST, gateway: str = "gw-7") -> bytes:
    box = enrolment.seal(SECRETS, SEALING.public_key().public_bytes_raw(), ask)
    answer = Answer(
        ask=ask, gateway=gateway, version=3, replaces=True, broker_knows=True, box=box
    )  # fmt: skip
    return enrolment.sign_answer(answer, head_end)


def test_from_token_to_configuration() -> None:
    token = Token.from_text(f"  {TOKEN.text}\n")
    assert (token, token.text) == (TOKEN, TOKEN.text)
    assert token.digest == hashlib.sha256(token.secret).digest()
    assert enrolment.read_ask(ASK) == ask_of(token)
    answer = enrolment.read_answer(answer_of(), token, DIGEST)
    assert (answer.gateway, answer.version, answer.replaces) == ("gw-7", 3, True)
    found = enrolment.open_box(answer.box, SEALING.private_bytes_raw(), DIGEST)
    assert found == SECRETS


def test_secrets_do_not_show() -> None:
    assert "the password" not in repr(SECRETS)
    assert repr(TOKEN) == "Token(gateway='gw-7')"
    assert "state" not in repr(SECRETS.configuration.files[0])


def test_the_longest_name_still_fits_into_a_request() -> None:
    token = Token.make("g" * 63, HEAD_END.public_key)
    assert len(token.text) <= 200
    assert len(enrolment.sign_ask(ask_of(token), DEVICE)) * 4 // 3 + 4 <= 500


@pytest.mark.parametrize(
    "text", ["", "hesper1", TOKEN.text[:-1], TOKEN.text[3:], TOKEN.text.replace(".", "!"),
             TOKEN.text.replace("gw-7", "cloud"), TOKEN.text + ".x", TOKEN.text + "é"],
    ids=["nothing", "version", "without its end", "without its start", "other dots",
         "another name", "one part more", "a foreign letter"],
)  # fmt: skip
def test_a_token_that_was_not_copied_whole_is_none(text: str) -> None:
    with pytest.raises(Refused, match="no token"):
        Token.from_text(text)


def test_no_octet_of_an_ask_can_change() -> None:
    for place in range(len(ASK)):
        altered = ASK[:place] + bytes([ASK[place] ^ 1]) + ASK[place + 1 :]
        with pytest.raises(Refused):
            enrolment.read_ask(altered)


def test_an_ask_shows_the_key_that_signed_it() -> None:
    stranger = Signer.generate()
    with pytest.raises(Refused):
        enrolment.read_ask(enrolment.sign_ask(ask_of(TOKEN), stranger))


def test_no_octet_of_an_answer_can_change() -> None:
    octets = answer_of()
    for place in range(0, len(octets), 3):
        altered = octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :]
        with pytest.raises(Refused):
            enrolment.read_answer(altered, TOKEN, DIGEST)


def test_another_head_end_is_not_believed() -> None:
    with pytest.raises(Refused, match="another head end"):
        enrolment.read_answer(answer_of(Signer.generate()), TOKEN, DIGEST)
    other = Signer.generate()  # shows the right key, and signs with its own
    mixed = HEAD_END.public_key + answer_of(other)[32:]
    with pytest.raises(Refused, match="unknown key"):
        enrolment.read_answer(mixed, TOKEN, DIGEST)


def test_the_answer_to_another_ask_or_name_is_not_taken() -> None:
    for answer in (answer_of(ask=hashlib.sha256(b"other").digest()), answer_of(gateway="gw-8")):
        with pytest.raises(Refused, match="something else"):
            enrolment.read_answer(answer, TOKEN, DIGEST)


def test_another_device_cannot_open_the_box() -> None:
    box = enrolment.read_answer(answer_of(), TOKEN, DIGEST).box
    stranger = X25519PrivateKey.generate().private_bytes_raw()
    for key, ask in ((stranger, DIGEST), (SEALING.private_bytes_raw(), bytes(32))):
        with pytest.raises(Refused, match="not sealed for this device"):
            enrolment.open_box(box, key, ask)


def test_an_ask_cannot_pass_as_an_answer_or_as_a_payload() -> None:
    with pytest.raises(Refused):
        enrolment.read_answer(
            DEVICE.public_key + ASK, Token.make("gw-7", DEVICE.public_key), DIGEST
        )
    with pytest.raises(Refused):
        enrolment.read_ask(DEVICE.sign(b"", jsonbody.encode(ask_of(TOKEN))))


def test_a_key_of_small_order_is_refused() -> None:
    with pytest.raises(Refused, match="no key to seal to"):
        enrolment.seal(SECRETS, bytes(32), DIGEST)


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../b", "", "a//b", ".hidden", "a\\b", "a/b/c/d/e/f", "a\n"]
)
def test_no_file_lies_outside_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="folder of"):
        File(name, b"")
    body = jsonbody.encode({"files": [{"name": name, "octets": b""}]})
    with pytest.raises(Refused):
        jsonbody.decode(body, Configuration)
