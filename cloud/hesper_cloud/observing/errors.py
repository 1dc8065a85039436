"""Errors are told to somebody who collects them, where that is configured; never by default.

Theory of operation. A log record of level ERROR becomes a report: the text as it stands in the
program, without what was put into it, the kind of the error, and where in the program it came from.
Values of variables and requests are not in it at all; from the error's own text whatever may be
somebody's is struck out (names of meters and people, addresses, numbers). A thread sends the
reports; more than a few a minute are counted and dropped, and so is what nobody takes.
"""

import contextlib
import importlib
import logging
import queue
import re
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from hesper_cloud.observing.context import current_trace
from hesper_cloud.observing.logs import without_secrets
from hesper_cloud.observing_settings import ErrorTrackingSettings

log = logging.getLogger(__name__)

Report = dict[str, Any]
Send = Callable[[Report], None]
_MOST_WAITING = 100
_MOST_FRAMES = 50
_LONGEST = 500
_TIMEOUT_S = 5.0
_GOODBYE_S = 2.0
_PERSONAL = (
    re.compile(r"'[^']*'|\"[^\"]*\""),  # what a text quotes is a value
    re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
    re.compile(r"\b(?=[\w-]*\d)[\w-]{3,}\b"),  # serial and account numbers, phones, dates
)


class BadHook(ValueError):
    """The configured DSN or callable cannot be used; the text says why."""


def scrubbed(text: str) -> str:
    """Returns an error's own text without whatever may be a person's, a meter's or a secret."""
    text = without_secrets(text)
    for pattern in _PERSONAL:
        text = pattern.sub("…", text)
    return text[:_LONGEST]


class ErrorHook(logging.Handler):
    """Takes log records of level ERROR and above and has them sent."""

    def __init__(
        self,
        settings: ErrorTrackingSettings,
        role: str,
        send: Send,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(logging.ERROR)
        self._monotonic = monotonic
        self._about = {"environment": settings.environment, "server_name": role}
        self._per_minute = settings.per_minute
        self._send = send
        self._waiting: queue.Queue[Report | None] = queue.Queue(_MOST_WAITING)
        self._minute, self._count = 0, 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="error reports", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Makes a report of a record; returns at once."""
        if record.name == log.name:
            return
        minute = int(self._monotonic() // 60)
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        try:
            if self._count > self._per_minute:
                raise queue.Full
            self._waiting.put_nowait(report_of(record) | self._about)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Sends what waits, for two seconds at most."""
        with contextlib.suppress(queue.Full):  # nobody takes them: what waits is lost
            self._waiting.put_nowait(None)
            self._thread.join(_GOODBYE_S)
        super().close()

    def _work(self) -> None:
        while (report := self._waiting.get()) is not None:
            try:
                self._send(report)
            except Exception as error:  # noqa: BLE001 - somebody else's callable ends nothing here
                log.warning("an error report was not taken: %s", type(error).__name__)


def report_of(record: logging.LogRecord) -> Report:
    """Returns a record as an event of Sentry's protocol, scrubbed."""
    report: Report = {
        "event_id": uuid.uuid4().hex,
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        "platform": "python",
        "level": record.levelname.lower(),
        "logger": record.name,
        "release": f"hesper@{version('hesper')}",
        "logentry": {"message": scrubbed(str(record.msg))},
    }
    if trace_id := current_trace():
        report["contexts"] = {"trace": {"trace_id": trace_id, "span_id": trace_id[:16]}}
    if record.exc_info and record.exc_info[1] is not None:
        report["exception"] = {"values": [_exception(record.exc_info[1])]}
    return report


def _exception(error: BaseException) -> dict[str, Any]:
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    return {
        "type": type(error).__name__,
        "module": type(error).__module__,
        "value": scrubbed(str(error)),
        "stacktrace": {
            "frames": [
                {"filename": Path(each.filename).name, "function": each.name, "lineno": each.lineno}
                for each in frames
            ]
        },
    }


def begin(settings: ErrorTrackingSettings, role: str) -> ErrorHook | None:
    """Starts telling errors where that is configured.

    Raises:
        BadHook: what is configured cannot be used.
    """
    if not settings.is_on:
        return None
    hook = ErrorHook(settings, role, _caller(settings.call) if settings.call else _poster(settings))
    logging.getLogger().addHandler(hook)
    return hook


def _caller(name: str) -> Send:
    module, _, function = name.partition(":")
    try:
        found: Send = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadHook(
            f'[errors] call = "{name}": {error}; it is "package.module:function"'
        ) from None
    return found


def _poster(settings: ErrorTrackingSettings) -> Send:
    """Returns what posts envelopes to a Sentry-compatible server (`https://KEY@host/PROJECT`)."""
    parts = urlsplit(settings.dsn)
    path, _, project = parts.path.rpartition("/")
    if parts.scheme not in ("http", "https") or not (parts.username and parts.hostname and project):
        raise BadHook("[errors] dsn: it is https://KEY@host/PROJECT, as the server shows it")
    host = parts.hostname + (f":{parts.port}" if parts.port else "")
    address = f"{parts.scheme}://{host}{path}/api/{project}/envelope/"
    auth = f"Sentry sentry_version=7, sentry_client=hesper, sentry_key={parts.username}"
    headers = {"X-Sentry-Auth": auth, "Content-Type": "application/x-sentry-envelope"}
    import httpx  # a tenth of a start; few have such a server

    client = httpx.Client(headers=headers, timeout=_TIMEOUT_S)

    def post(report: Report) -> None:
        head = {"event_id": report["event_id"], "sent_at": datetime.now(UTC).isoformat()}
        parts = (head, {"type": "event"}, report)
        client.post(address, content=b"\n".join(map(orjson.dumps, parts))).raise_for_status()

    return post
