"""Logs for people and for programs, without secrets; errors are told only where that is wanted."""

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hesper_cloud.api import problems, request_ids
from hesper_cloud.api.measuring import Measured
from hesper_cloud.api.request_ids import RequestIds
from hesper_cloud.observing import errors, logs
from hesper_cloud.observing.context import within
from hesper_cloud.observing_settings import ErrorTrackingSettings, LogSettings
from hesper_cloud.settings import Settings

TRACE = "0af7651916cd43dd8448eb211c80319c"
SECRETS = {
    "Authorization: Bearer abcdefgh12345678": "abcdefgh12345678",
    "Basic dXNlcjpwYXNzd29yZA==": "dXNlcjpwYXNzd29yZA==",
    "cannot reach postgresql://hesper:s3cr3t-word@db/hesper": "s3cr3t-word",
    'password="correct horse"': "correct",
    "{'password': 'hunter22'}": "hunter22",
    "token=abc123def456": "abc123def456",
    "api_key: K-77-88-99": "K-77-88-99",
    f"key {'0123456789abcdef' * 2} was used": "0123456789abcdef",
    f"seed {'AB' * 32}": "AB" * 32,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl": "eyJzdWIiOiJhbm4ifQ",
}
HARMLESS = (
    "the authority decides; command key 2fd4e1c67a2d28fc",
    f"request {'ab' * 16} ended in an error",
    "ingest is connected to the broker 127.0.0.1:1883 (account hes.ingest), after 4 s",
    "meter HES12642984: no answer within 5.0 s",
    "the token is used up",
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def begun() -> Iterator[Callable[..., logging.Handler]]:
    """Begins a log; it ends with the test."""
    root, made = logging.getLogger(), []
    level = root.level

    def begin(*words: Any) -> logging.Handler:
        made.append(logs.begin(*words))
        return made[-1]

    yield begin
    for handler in made:
        root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize(("form", "stream", "is_json"), [
    ("human", io.StringIO, False), ("auto", Terminal, False), ("auto", io.StringIO, True),
    ("json", Terminal, True),
])  # fmt: skip
def test_the_form_goes_by_setting_and_terminal(
    begun: Any, form: Any, stream: Any, is_json: bool
) -> None:
    target = stream()
    begun(LogSettings(format=form), None, target)
    logging.getLogger("hesper.test").warning("the broker is lost: %s", "no route")
    line = target.getvalue().strip()
    assert line.startswith("{") is is_json
    assert "the broker is lost: no route" in line


def test_human_is_the_default() -> None:
    assert (LogSettings().format, ErrorTrackingSettings().is_on) == ("human", False)
    assert errors.begin(ErrorTrackingSettings(), "test") is None


@pytest.mark.parametrize("form", ["human", "json"])
def test_secrets_are_struck_out_and_the_rest_is_not(begun: Any, form: Any) -> None:
    target = io.StringIO()
    begun(LogSettings(format=form), None, target)
    log = logging.getLogger("hesper.test")
    for text in SECRETS:
        log.error("it failed: %s", text)
        try:
            raise ValueError(text)
        except ValueError:
            log.exception("it failed again")
    for text in HARMLESS:
        log.info(text)
    for secret in SECRETS.values():
        assert secret not in target.getvalue()
    for text in HARMLESS:
        assert text in target.getvalue()


def test_a_line_has_its_trace_and_the_error_its_frames(begun: Any) -> None:
    target = io.StringIO()
    begun(LogSettings(format="json"), {"request_id": lambda: "r-1"}, target)
    with within(TRACE):
        try:
            raise KeyError("x")
        except KeyError:
            logging.getLogger("hesper.test").exception("it failed")
    logging.getLogger("hesper.test").info("and after")
    first, second = map(json.loads, target.getvalue().splitlines())
    assert (first["trace_id"], first["request_id"], first["error"]) == (TRACE, "r-1", "KeyError")
    assert "test_logs.py" in first["stack"]
    assert "trace_id" not in second


async def test_what_fails_within_a_request_is_logged_under_its_trace(begun: Any) -> None:
    target = io.StringIO()
    begun(LogSettings(format="json"), {"request_id": request_ids.current}, target)
    app = FastAPI()
    problems.install(app)
    app.add_middleware(RequestIds)
    app.add_middleware(Measured)

    @app.get("/broken")
    async def broken() -> None:
        logging.getLogger("hesper.test").error("on the way")
        raise RuntimeError("unforeseen")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "X-Request-ID": "r-77"}
        assert (await client.get("/broken", headers=headers)).status_code == 500
    lines = [json.loads(line) for line in target.getvalue().splitlines()]
    assert [line["trace_id"] for line in lines] == [TRACE] * 2
    assert lines[0]["request_id"] == "r-77"


PERSONAL = ("HES12642984", "Ada Byron", "ada@example.org", "10.1.2.3", "+44 20 7946 0018", "s3cr3t")


def fail(log: logging.Logger) -> None:
    secret_local = "s3cr3t"
    try:
        raise ValueError(f"no customer 'Ada Byron' ada@example.org at 10.1.2.3, meter HES12642984 "
                         f"phone +44 20 7946 0018 password={secret_local}")  # fmt: skip
    except ValueError:
        log.exception("meter %s of %s cannot be read", "HES12642984", "Ada Byron")


def test_a_sentry_compatible_server_gets_what_is_nobodys(collector: Any) -> None:
    hook = errors.begin(ErrorTrackingSettings(dsn=collector.dsn, environment="test"), "head-end")
    assert hook is not None
    try:
        with within(TRACE):
            fail(logging.getLogger("hesper.test"))
        path, auth, (head, kind, event) = collector.envelopes.get(timeout=30)
    finally:
        logging.getLogger().removeHandler(hook)
        hook.close()
    assert (path, kind["type"]) == ("/api/7/envelope/", "event")
    assert "sentry_key=publickey" in auth
    assert head["event_id"] == event["event_id"]
    assert event["logentry"]["message"] == "meter %s of %s cannot be read"
    (value,) = event["exception"]["values"]
    assert value["type"] == "ValueError"
    assert value["stacktrace"]["frames"][-1]["function"] == "fail"
    assert (event["environment"], event["contexts"]["trace"]["trace_id"]) == ("test", TRACE)
    said = json.dumps(event)
    for personal in PERSONAL:
        assert personal not in said, personal


def test_no_more_than_so_many_reports_go_out_in_a_minute() -> None:
    told: list[Any] = []
    settings = ErrorTrackingSettings(call="not:used", per_minute=3)
    hook = errors.ErrorHook(settings, "authority", told.append, lambda: 600.0)
    log = logging.getLogger("hesper.test")
    log.addHandler(hook)
    for number in range(10):
        log.error("failed")
        log.warning("only a warning %d", number)
    log.removeHandler(hook)
    hook.close()
    assert [each["logentry"]["message"] for each in told] == ["failed"] * 3
    assert hook.dropped == 7


def test_a_callable_gets_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    module = ModuleType("a_hook_of_a_test")
    module.take = told.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    hook = errors.begin(ErrorTrackingSettings(call="a_hook_of_a_test:take"), "authority")
    assert hook is not None
    logging.getLogger("hesper.test").error("failed")
    logging.getLogger().removeHandler(hook)
    hook.close()
    assert [each["server_name"] for each in told] == ["authority"]


def test_a_hook_that_fails_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("a_broken_hook")
    module.take = lambda _report: 1 / 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    hook = errors.begin(ErrorTrackingSettings(call="a_broken_hook:take"), "authority")
    assert hook is not None
    logging.getLogger("hesper.test").error("failed")
    logging.getLogger().removeHandler(hook)
    hook.close()


def test_a_collector_that_hangs_keeps_no_process_from_ending() -> None:
    hangs = threading.Event()
    settings = ErrorTrackingSettings(call="not:used", per_minute=1000)
    hook = errors.ErrorHook(settings, "authority", lambda _report: hangs.wait(60))
    for _ in range(200):
        hook.handle(logging.LogRecord("hesper", logging.ERROR, "", 0, "failed", (), None))
    hook.close()
    assert hook.dropped >= 99
    hangs.set()


@pytest.mark.parametrize("settings", [
    {"dsn": "not an address"}, {"dsn": "https://host/7"}, {"dsn": "ftp://key@host/7"},
    {"call": "json"}, {"call": "nowhere.at:all"}, {"call": "json:nothing"},
])  # fmt: skip
def test_what_cannot_be_used_is_said_at_the_start(settings: dict[str, str]) -> None:
    with pytest.raises(errors.BadHook, match="it is"):
        errors.begin(ErrorTrackingSettings(**settings), "test")


def test_a_dsn_is_not_shown() -> None:
    settings = Settings(errors=ErrorTrackingSettings(dsn="https://topsecret@host/7"))
    assert "topsecret" not in repr(settings)
