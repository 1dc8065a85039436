"""Every failure of `hesper-dlms` says what can be tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hesper_dlms.errors import (
    AssociationRejected,
    DecodeError,
    DlmsError,
    InvocationCounterError,
    LinkError,
    NoAnswer,
    SecurityError,
    ServiceError,
)
from hesper_gateway.desk.advice import advice

NAME = "1:0.0.42.0.0.255:2"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AssociationRejected(1, 13), "authentication-failure: the password"),
        (AssociationRejected(1, 2), "--referencing"),
        (AssociationRejected(1), "--client"),
        (AssociationRejected(2, 77), "--client"),
        (InvocationCounterError(56_277), "--invocation-counter 56277, or leave it out"),
        (InvocationCounterError(), "leave it out"),
        (ServiceError(5, "exception-response"), "--suite"),
        (ServiceError(77, "exception-response"), ""),
        (ServiceError(4), "hesper-dlms objects"),
        (ServiceError(3, "action-result"), "another --client"),
        (ServiceError(3, "confirmed-service-error"), ""),
        (SecurityError("the tag is wrong"), "keys"),
        (NoAnswer("the meter did not answer"), "--physical"),
        (NoAnswer("the meter did not answer"), "a longer --timeout"),
        (LinkError("10.0.0.1:4059 cannot be reached: refused"), "--port"),
        (LinkError("/dev/ttyUSB0 cannot be opened"), "dialout"),
        (LinkError("nobody listens on that UDP port"), "UDP"),
        (LinkError("the meter closed the connection"), "--link"),
        (DecodeError("odd octets"), ""),
    ],
)
def test_advice(error: DlmsError, said: str) -> None:
    assert said in advice(error)
    assert bool(said) == bool(advice(error))


@pytest.mark.integration
def test_a_wrong_port_and_a_missing_password(command: Callable[..., Any]) -> None:
    way = ["--host", "127.0.0.1", "--port", "1"]
    nobody = command("read", *way, NAME)
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "cannot be reached" in nobody.stderr
    assert "try: is the address right" in nobody.stderr
    bare = command("read", *way, "--client", "2", "--authentication", "lls", NAME)
    assert bare.returncode == 2
    assert "lls needs a password" in bare.stderr
    assert command("explain", "").returncode == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "127.0.0.1", "--serial", "/dev/null"], "--host or --serial, not both"),
        (["--host", "127.0.0.1", "--mode-e"], "optical head"),
        (["--host", "127.0.0.1", "--udp", "--link", "hdlc"], "UDP"),
        (["--serial", "/dev/null", "--framing", "9"], "8N1"),
        (["--host", "127.0.0.1", "--system-title", "00"], "8 octets"),
        (["--host", "127.0.0.1", "--link", "hdlc", "--address-octets", "3"], "1 octet"),
        (["--host", "127.0.0.1", "--port", "99999"], "--port"),
        (["--host", "127.0.0.1", "--timeout", "-1"], "--timeout"),
        (["--host", "127.0.0.1", "--client", "0"], "--client"),
    ],
)
def test_options_that_contradict_each_other_reach_no_meter(
    command: Callable[..., Any], options: list[str], said: str
) -> None:
    refused = command("read", *options, NAME)
    assert refused.returncode == 2
    assert said in refused.stderr
