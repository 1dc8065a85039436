"""Worked examples that others published, recomputed by us to the octet.

Green Book: edition 8, annex C (key agreement), table of the one-pass and static examples; the same
values are in the tests of other implementations. RFC 3394, section 4. FIPS 186-3, Suite B
Implementer's Guide (P-384).
"""

from __future__ import annotations

import pytest
from hesper_dlms.errors import SecurityError
from hesper_dlms.security import gcm, key_agreement, key_wrap
from hesper_dlms.security.key_agreement import Algorithm, Parties
from hesper_dlms.security.key_pairs import PrivateKey, PublicKey

U = bytes.fromhex("4D4D4D0000BC614E")
V = bytes.fromhex("4D4D4D0000000001")
PARTIES = Parties(U, V)

CLIENT_SIGNING = "418073C239FA6125011DE4D6CD2E645780289F761BB21BFB0835CB5585E8B373"
CLIENT_SIGNING_PUBLIC = (
    "BAAFFDE06A8CB1C9DAE8D94023C601DBBB249254BA22EDD827E820BCA2BCC643"
    "62FBB83D86A82B87BB8B7161D2AAB5521911A946B97A284A90F7785CD9047D25"
)
CLIENT_AGREEMENT = "A51C16FF5C498FCC89323D4A9267CD71BF81FD6F6A891CD240DA7F3D6F283E65"
CLIENT_EPHEMERAL = "47DAB03842E5B6E74828EF4F449B378D7DD1A5DAE1FFCA5AE0B0BE0AD18EC57E"
CLIENT_EPHEMERAL_PUBLIC = (
    "C323C2BD45711DE4688637D919F92E9DB8FB2DFC213A88D21C9DC8DCBA917D81"
    "70511DE1BADB360D50058F794B0960AE11FA28D392CFF907A62D13E3357B1DC0"
)
SERVER_AGREEMENT = "AAD3FD0732E991CF52A74C66C1F2827DDC53522A2E0A169D7C4FFCC0FB5D6A4D"
ONE_PASS_KEY = "59A71FD81C929A86A99438DA17A66C05"
STATIC_KEY = "56C46B57DF675515C31025455822514A"


def private(octets: str, suite: int = 1) -> PrivateKey:
    return PrivateKey.from_scalar(suite, bytes.fromhex(octets))


def public(octets: str, suite: int = 1) -> PublicKey:
    return PublicKey(suite, bytes.fromhex(octets))


def test_key_pairs() -> None:
    assert private(CLIENT_SIGNING).public == public(CLIENT_SIGNING_PUBLIC)
    assert private(CLIENT_EPHEMERAL).public == public(CLIENT_EPHEMERAL_PUBLIC)


def test_the_shared_secret_of_one_pass() -> None:
    z = private(CLIENT_EPHEMERAL).agree(private(SERVER_AGREEMENT).public)
    assert z.hex() == "0d4385ba0dd756cbcab9887eb538396ee8f090a14c1079b4359f115b977f4615"
    key = key_agreement.derive(1, z, Algorithm.AES_GCM_128, U, V)
    assert key == bytes.fromhex(ONE_PASS_KEY)


def test_one_pass_from_server_to_client() -> None:
    z = bytes.fromhex("2B4302DC49790E2E78D990CFB52ED6E2F273DECE441A2D95E4301B93812A9FAC")
    key = key_agreement.derive(1, z, Algorithm.AES_GCM_128, V, U)
    assert key.hex() == "f0184bda9466bfa4601a64a7ef46504a"


def test_the_signed_ephemeral_key_of_one_pass_is_accepted() -> None:
    signature = (
        "B51BE089D0B682863B2217201E73A1A9031968A9B4121DCBC3281A69739AF874"
        "29F5B3AC5471E7B6A04A2C0F2F8A25FD772A317DF97FC5463FEAC248EB8AB8BE"
    )
    data = bytes.fromhex(CLIENT_EPHEMERAL_PUBLIC + signature)
    signer, server = public(CLIENT_SIGNING_PUBLIC), private(SERVER_AGREEMENT)
    key = key_agreement.accept_one_pass(server, signer, data, PARTIES)
    assert key == bytes.fromhex(ONE_PASS_KEY)
    for place in (0, 63, 64, 127):
        altered = bytearray(data)
        altered[place] ^= 1
        with pytest.raises(SecurityError):
            key_agreement.accept_one_pass(server, signer, bytes(altered), PARTIES)


def test_the_static_key_of_one_transaction() -> None:
    transaction_id = bytes.fromhex("0102030405060708")
    ours, theirs = private(CLIENT_AGREEMENT), private(SERVER_AGREEMENT)
    key = key_agreement.static_key(ours, theirs.public, transaction_id, PARTIES)
    assert key == bytes.fromhex(STATIC_KEY)
    assert key == key_agreement.static_key(theirs, ours.public, transaction_id, PARTIES)
    assert key != key_agreement.static_key(ours, theirs.public, b"\x01", PARTIES)


def test_the_ephemeral_key_of_security_setup_is_signed_with_its_number() -> None:
    key_data = bytes.fromhex(
        "2914D60E10AB705F62ED6CC349D7CB99B9AB3F3978E59278C7AF595B3AF98794"
        "1372DAB6D5AF1FA867E134167E6F23DE664A6693E05F43414611058D1B48F894"
        "06F0607702AA0E2435A183E2F6B1ECD19629712E389A213610C03F77B2590860"
        "EA840AF5C3FA1F2BCDF055D4744E9A01CE9A0E55026BCAA4EEBEB764CED64BB3"
    )
    signer = public(CLIENT_SIGNING_PUBLIC)
    client = key_agreement.check_ephemeral(signer, 0, key_data)
    server = private("34A8C23A34DBB519D09B245754C85A6CFE05D14A063EFA5AA41545AA8241EFAE")
    z = server.agree(client)
    assert z.hex() == "c1cf8fe7891aef3617d7190795e61fe6c24efc3cca2e08469bad1a225ce6ea08"
    with pytest.raises(SecurityError):
        key_agreement.check_ephemeral(signer, 1, key_data)


@pytest.mark.parametrize(
    ("key", "begin"),
    [
        (ONE_PASS_KEY, "F435069679270C5BF4425EE5777402A6C8D51C620EED52DBB188378B836E2857"),
        (STATIC_KEY, "607581D83815281B561904E6A72B83BF3FB0B1F2A0A23A82A804B39911F6CB1B"),
    ],
)
def test_the_ciphertext_of_the_access_example(key: str, begin: str) -> None:
    """Nonce: the originator's title and counter 0. The tags printed beside it do not recompute."""
    access = "D94000000000040100010000600100FF020100080000010000FF020200140000"
    octets = gcm.GcmKey(bytes.fromhex(key)).crypt_unauthenticated(
        gcm.nonce(U, 0), bytes.fromhex(access)
    )
    assert octets == bytes.fromhex(begin)


def test_p384_signature_of_the_implementers_guide() -> None:
    key = public(
        "1fbac8eebd0cbf35640b39efe0808dd774debff20a2a329e91713baf7d7f3c3e"
        "81546d883730bee7e48678f857b02ca0eb213103bd68ce343365a8a4c3d4555f"
        "a385f5330203bdd76ffad1f3affb95751c132007e1b240353cb0a4cf1693bdf9",
        suite=2,
    )
    scalar = (
        "c838b85253ef8dc7394fa5808a5183981c7deef5a69ba8f4"
        "f2117ffea39cfcd90e95f6cbc854abacab701d50c1f3cf24"
    )
    assert private(scalar, suite=2).public == key
    message = b"This is only a test message. It is 48 bytes long"
    signature = bytes.fromhex(
        "a0c27ec893092dea1e1bd2ccfed3cf945c8134ed0c9f81311a0f4a05942db8db"
        "ed8dd59f267471d5462aa14fe72de85620ab3f45b74f10b6e11f96a2c8eb694d"
        "206b9dda86d3c7e331c26b22c987b7537726577667adadf168ebbe803794a402"
    )
    key.verify(signature, message)
    with pytest.raises(SecurityError):
        key.verify(signature, message[:-1])


@pytest.mark.parametrize(
    ("kek", "key", "wrapped"),
    [
        (16, 16, "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"),
        (32, 16, "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"),
        (
            32,
            32,
            "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21",
        ),
    ],
)
def test_key_wrap_of_rfc_3394(kek: int, key: int, wrapped: str) -> None:
    key_data = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
    kek_data = bytes(range(kek))
    assert key_wrap.wrap(kek_data, key_data[:key]) == bytes.fromhex(wrapped)
    assert key_wrap.unwrap(kek_data, bytes.fromhex(wrapped)) == key_data[:key]
    altered = bytes.fromhex(wrapped)[:-1] + b"\x00"
    for octets in (altered, b"", bytes(7), bytes.fromhex(wrapped)[:-8]):
        with pytest.raises(SecurityError):
            key_wrap.unwrap(kek_data, octets)
