"""Protected pushes through the receiver, and the odd association APDUs that real meters send."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import aare
from hesper_dlms.association import Authentication
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.errors import (
    AssociationRejected,
    DecodeError,
    InvocationCounterError,
    SecurityError,
)
from hesper_dlms.oneshot import Dropped, PushedMessage, PushReceiver
from hesper_dlms.security import (
    Form,
    KeyEstablishment,
    Protection,
    SecurityContext,
    Signature,
)
from hesper_dlms.server import ClientRole
from hesper_dlms.wrapper import wrap

METER = b"METER000"
PUSH = apdu.DataNotification(1, b"", axdr.encode(axdr.structure(axdr.unsigned(5)))).to_octets()
FORMS = [
    Protection(Form.GENERAL),
    Protection(Form.GENERAL, signature=Signature.INSIDE),
    *(Protection(Form.GENERAL_CIPHERING, key=key) for key in KeyEstablishment),
    Protection(Form.GENERAL_CIPHERING, signature=Signature.OUTSIDE),
]


@pytest.mark.parametrize("by_title", [False, True])
@pytest.mark.parametrize("protection", FORMS)
def test_a_push_in_every_form(keys: Any, protection: Protection, by_title: bool) -> None:
    meter = SecurityContext(keys.meter, METER, b"CLIENT00")
    known = {METER: keys.client} if by_title else keys.client
    receiver = PushReceiver(link="wrapper", keys=known)
    frame = wrap(1, 102, meter.protect(PUSH, 7, protection=protection))
    (message,) = receiver.receive(frame)
    assert isinstance(message, PushedMessage)
    assert message.octets == PUSH
    (again,) = receiver.receive(frame)
    assert isinstance(again, Dropped)
    assert "replay" in again.reason
    spoiled = bytearray(wrap(1, 102, meter.protect(PUSH, 8, protection=protection)))
    spoiled[-3] ^= 1
    (dropped,) = receiver.receive(bytes(spoiled))
    assert isinstance(dropped, Dropped)


def test_certificates_and_user_travel_in_aarq_and_aare() -> None:
    certificate = bytes(range(200)) * 3
    aarq = apdu.Aarq(3, b"\x01", 7, bytes(32), bytes(8), 9, certificate)
    assert apdu.parse(aarq.to_octets()) == aarq
    answer = apdu.Aare(3, 0, 14, b"\x08\x00", 7, bytes(32), bytes(8), certificate=certificate)
    assert apdu.parse(answer.to_octets()) == answer


def answering(*answers: bytes) -> Any:
    """Return a meter that sends these APDUs, whatever it is asked."""
    waiting = list(answers)
    return lambda _octets: wrap(1, 1, waiting.pop(0)) if waiting else b""


def connect(bench: Any, answer: bytes, **settings: Any) -> None:
    chosen = AssociationSettings(1, 1, **settings)
    bench.run(Client(chosen.over_wrapper(), chosen).connect(), answering(answer))


@pytest.mark.parametrize(
    "octets",
    [
        # No user-information; none and no context; user-information without contents; a provider.
        "61 17 a1 09 06 07 60 85 74 05 08 01 01 a2 03 02 01 01 a3 05 a1 03 02 01 0d",
        "61 0c a2 03 02 01 01 a3 05 a1 03 02 01 0d",
        "61 1b a1 09 06 07 60 85 74 05 08 01 01 a2 03 02 01 01 a3 05 a1 03 02 01 0d be 02 04 00",
        "61 0c a2 03 02 01 01 a3 05 a2 03 02 01 0d",
        "61 05 a2 03 02 01 01",
    ],
)
def test_a_refusal_however_little_it_says(bench: Any, octets: str) -> None:
    with pytest.raises(AssociationRejected) as refused:
        connect(bench, bytes.fromhex(octets))
    assert refused.value.result == aare.REJECTED_PERMANENT
    assert refused.value.diagnostic in (0, aare.AUTHENTICATION_FAILURE)


def test_an_empty_title_is_none(bench: Any) -> None:
    granted = apdu.InitiateResponse(apdu.LOGICAL_NAME_SERVICES, 500).to_octets()
    answer = apdu.Aare(1, 0, 0, granted, system_title=b"").to_octets()
    connect(bench, answer)
    with pytest.raises(DecodeError):
        connect(bench, apdu.Aare(1).to_octets())


def test_a_ciphered_association_is_not_answered_in_plain(bench: Any, security: Any) -> None:
    keys = security.Keys(0)
    granted = apdu.InitiateResponse(apdu.LOGICAL_NAME_SERVICES, 500).to_octets()
    for context in (1, 3):
        answer = apdu.Aare(context, 0, 0, granted, system_title=METER).to_octets()
        with pytest.raises(SecurityError):
            connect(
                bench,
                answer,
                security=keys.client,
                system_title=bytes(8),
                invocation_counter=bench.Counter(),
            )


def test_the_meter_tells_the_counter_that_it_wants(bench: Any, security: Any) -> None:
    role = ClientRole(Authentication.HIGH_GMAC, ciphered=True)
    for form in (Protection(), Protection(Form.GENERAL), Protection(Form.GENERAL_CIPHERING)):
        keys = security.Keys(0)
        keys.client = replace(keys.client, protection=form)
        pair = security.Pair(bench, keys, role, invocation_counter=bench.Counter(1000))
        pair.run(pair.client.connect())
        pair.run(pair.client.release())
        last = pair.server.last_received_counter
        assert last >= 1000
        late = replace(pair.settings, invocation_counter=bench.Counter(5))
        with pytest.raises(InvocationCounterError) as refused:
            pair.run(Client(late.over_wrapper(), late).connect())
        assert refused.value.expected == last + 1


def test_transaction_ids_are_no_invocation_counters(bench: Any, security: Any, keys: Any) -> None:
    role = ClientRole(Authentication.HIGH_GMAC, ciphered=True)
    static = Protection(Form.GENERAL_CIPHERING, key=KeyEstablishment.STATIC)
    pair = security.Pair(bench, keys, role, invocation_counter=bench.Counter(1000))
    pair.run(pair.client.connect())
    before = pair.server.last_received_counter
    pair.client.protection = static
    pair.run(pair.client.get(bench.ENERGY))
    assert pair.server.last_received_counter == before


@pytest.mark.parametrize("form", [Form.SERVICE_SPECIFIC, Form.GENERAL, Form.GENERAL_CIPHERING])
def test_every_key_has_its_own_counter(bench: Any, security: Any, form: Form) -> None:
    """After a key change the client's counter begins anew; the old key's is not held against it."""
    role = ClientRole(Authentication.HIGH_GMAC, ciphered=True)
    keys = security.Keys(0)
    pair = security.Pair(bench, keys, role, invocation_counter=bench.Counter(100_000))
    pair.run(pair.client.connect())
    pair.run(pair.client.release())
    new = {"encryption_key": bytes(range(0xC0, 0xD0))}
    pair.meter.__class__.security = replace(keys.meter, **new)
    changed = replace(
        pair.settings,
        security=replace(keys.client, protection=Protection(form), **new),
        invocation_counter=bench.Counter(1),
    )
    client = Client(changed.over_wrapper(), changed)
    pair.run(client.connect())
    assert pair.run(client.get(bench.ENERGY)).value == 1234567
    pair.run(client.release())
    pair.meter.__class__.security = keys.meter
    again = replace(pair.settings, invocation_counter=bench.Counter(1))
    with pytest.raises(InvocationCounterError) as refused:
        pair.run(Client(again.over_wrapper(), again).connect())
    assert (refused.value.expected or 0) > 100_000


def test_a_broadcast_is_answered_like_any_other(bench: Any, security: Any) -> None:
    role = ClientRole(Authentication.HIGH_GMAC, ciphered=True)
    pair = security.Pair(bench, security.Keys(0), role)
    pair.run(pair.client.connect())
    pair.client.protection = Protection(broadcast=True)
    assert pair.run(pair.client.get(bench.ENERGY)).value == 1234567
