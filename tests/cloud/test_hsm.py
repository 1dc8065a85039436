"""The command key in a token: SoftHSM through PKCS#11, as any HSM would be."""

import copy
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hesper_cloud import hsm, keys, provision
from hesper_cloud.authority import process
from hesper_cloud.authority.core import Authority
from hesper_cloud.hsm import SigningUnavailable, TokenKey
from hesper_cloud.putting_off import PuttingOff
from hesper_cloud.settings import HsmSettings, Settings
from hesper_contracts import commands
from hesper_contracts.signing import Keyring, Signer
from hesper_lab import system

pytestmark = pytest.mark.integration
pkcs11 = pytest.importorskip("pkcs11", reason="the extra hsm is not installed")
PIN = "824715"
TOKENS = ("hes-1", "hes-2", "hes-3")


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """SoftHSM's library with empty tokens, which it finds through the environment."""
    program = system.find(system.SOFTHSM.name)
    found = system.softhsm_module(program) if program else None
    if program is None or found is None:
        pytest.skip("softhsm2 is not installed")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(folder / "softhsm2.conf"))
        for token in TOKENS:
            subprocess.run(
                [program.path, "--init-token", "--free", "--label", token, "--pin", PIN,
                 "--so-pin", "12345678"],
                check=True, capture_output=True, env=os.environ | program.environment,
            )  # fmt: skip
        yield found


@pytest.fixture(scope="module")
def pin_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pin") / "hsm.pin"
    path.touch(0o600)
    path.write_text(f"{PIN}\n")
    return path


@pytest.fixture(scope="module")
def token(module: Path, pin_file: Path) -> HsmSettings:
    """A token with a command key in it."""
    settings = HsmSettings(module=module, token=TOKENS[0], pin_file=pin_file)
    hsm.make_key(settings, PIN)
    return settings


@pytest.fixture
def opened(token: HsmSettings) -> Any:
    key = TokenKey(token, lambda: PIN)
    yield key
    key.close()


def test_it_signs_what_every_gateway_can_check(opened):
    signer = Signer(opened)
    signed = signer.sign(b"HC1s", b"body")
    assert Keyring.of(signer.public_key).verify(b"HC1s", signed[4:]) == b"body"


def test_the_key_never_leaves_its_token(opened, tmp_path):
    for ask in (
        opened.private_bytes_raw,
        lambda: opened.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()),
        lambda: Signer(opened).save(tmp_path / "commands.key"),
    ):
        with pytest.raises(SigningUnavailable, match="does not leave"):
            ask()
    assert copy.deepcopy(opened) is opened
    assert opened._key[pkcs11.Attribute.EXTRACTABLE] is False
    assert PIN not in repr(opened)


def test_a_session_that_was_lost_is_opened_anew(opened):
    opened._session.close()
    Signer(opened).sign(b"HC1s", b"body")
    pkcs11.lib(str(opened._settings.module)).reinitialize()  # as after a restart of its daemon
    Signer(opened).sign(b"HC1s", b"body")


def test_two_threads_sign_side_by_side(opened):
    signer, found = Signer(opened), []

    def sign() -> None:
        found.extend(signer.sign(b"HC1s", b"body") for _ in range(20))

    threads = [threading.Thread(target=sign) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(found), len(set(found))) == (80, 1)  # Ed25519 signs the same alike


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"token": "another"}, "NoSuchToken"), ({"label": "another"}, "NoSuchKey")],
)
def test_what_is_not_there_is_named(token, changes, told):
    with pytest.raises(SigningUnavailable, match=told):
        TokenKey(token.model_copy(update=changes), lambda: PIN)


def test_a_wrong_pin_is_shown_once_and_never_told(token):
    shown: list[str] = []

    def pin() -> str:
        shown.append("wrong-pin")
        return shown[-1]

    with pytest.raises(SigningUnavailable) as refused:
        TokenKey(token, pin)
    assert (len(shown), "wrong-pin" in str(refused.value)) == (1, False)


def test_a_token_that_refuses_later_is_not_asked_until_a_restart(token):
    pins = iter([PIN, "wrong-pin"])
    key = TokenKey(token, lambda: next(pins))
    for _ in range(3):
        key.close()
        with pytest.raises(SigningUnavailable):
            key.sign(b"body")


def test_a_key_is_made_once(token):
    with pytest.raises(SigningUnavailable, match="already"):
        hsm.make_key(token, PIN)


@pytest.mark.parametrize(("text", "mode", "told"), [("", 0o600, "empty"), (PIN, 0o644, "chmod")])
def test_a_pin_comes_from_a_file_that_nobody_else_reads(tmp_path, text, mode, told):
    path = tmp_path / "hsm.pin"
    path.touch(mode)
    path.chmod(mode)
    path.write_text(text)
    with pytest.raises(SigningUnavailable, match=told):
        hsm.pin_of(path)
    with pytest.raises(SigningUnavailable, match="No such file"):
        hsm.pin_of(tmp_path / "none")


def test_without_a_token_none_is_made(tmp_path):
    with pytest.raises(SigningUnavailable, match="names no token"):
        keys.make_in_token(Settings(state=tmp_path))


def test_a_head_end_with_a_token_has_no_command_key_on_its_disk(module, pin_file, tmp_path):
    found = HsmSettings(module=module, token=TOKENS[1], pin_file=pin_file)
    settings = Settings(state=tmp_path / "state", hsm=found)
    public = keys.make_in_token(settings)
    with pytest.raises(SigningUnavailable, match="already"):
        keys.make_in_token(settings)
    (settings.keys / "commands.pub").unlink()  # cut off before it was noted
    assert keys.make_in_token(settings) == public
    provision.initialise(settings, "default")
    assert keys.command_public_key(settings) == public
    assert keys.authority_signer(settings).public_key == public
    assert not (settings.keys / "commands.key").exists()


def test_the_authority_signs_commands_with_it(token, head_end):
    signer = keys.authority_signer(head_end.settings.model_copy(update={"hsm": token}))
    databases, opener = head_end.databases, keys.request_opener(head_end.settings.keys)
    engines = (databases.registry, databases.authority)
    head_end.authority = Authority(engines, signer, opener, head_end.outbox, head_end.clock)
    head_end.ask_reconnect()
    (sent,) = head_end.outbox.sent
    trusted = Keyring.of(signer.public_key)
    assert commands.from_payload(sent.payload, trusted, "gw-1").kind == "relay.reconnect"


def test_while_the_token_is_away_a_turn_is_put_off_and_nothing_is_lost(
    token, head_end, caplog: pytest.LogCaptureFixture
):
    key = TokenKey(token, lambda: PIN)
    databases, opener = head_end.databases, keys.request_opener(head_end.settings.keys)
    engines = (databases.registry, databases.authority)
    head_end.authority = Authority(engines, Signer(key), opener, head_end.outbox, head_end.clock)
    take_away(key)
    turn: Callable[..., float] = process._turn
    putting_off = PuttingOff()
    with pytest.raises(SigningUnavailable):
        head_end.ask_reconnect()
    turn(head_end.authority, putting_off)
    assert "nothing can be signed" in caplog.text
    assert [each.state for each in head_end.commands()] == ["queued"]
    key._settings = token
    turn(head_end.authority, putting_off)
    assert [each.state for each in head_end.commands()] == ["sent"]


def take_away(key: TokenKey) -> None:
    """Lets the token be gone, as one that was pulled."""
    key.close()
    key._settings = key._settings.model_copy(update={"token": "pulled"})
