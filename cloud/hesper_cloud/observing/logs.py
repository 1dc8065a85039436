"""The log of a process: for people, or one JSON object a line; secrets are struck out in both.

A secret does not belong into a log call in the first place; what is struck out here is what came
along in somebody else's error text: tokens, passwords in addresses, keys in hex.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from hesper_cloud.observing.context import current_trace
from hesper_cloud.observing_settings import LogSettings

HUMAN = "%(asctime)s %(levelname)s %(name)s: %(message)s"
STRUCK = "[struck out]"
_CHATTY = ("alembic", "uvicorn.error", "httpx", "httpcore", "opentelemetry")
_SECRETS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {STRUCK}"),
    (re.compile(r"(?i)(://[^\s/:@]*:)[^\s@/]+@"), rf"\1{STRUCK}@"),
    (
        re.compile(
            r"(?i)\b(password|passwd|pin|secret|token|api[_-]?key|signing[_-]?key|cookie)"
            r"(['\"]?\s*[=:]\s*['\"]?)(?!\[)[^\s'\",;&)}]{3,}"
        ),
        rf"\1\2{STRUCK}",
    ),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), STRUCK),  # a JWT
    (re.compile(r"(?<!request )\b(?:[0-9a-fA-F]{2}){16,}\b"), STRUCK),  # a key, or a digest
)
Words = Mapping[str, Callable[[], str]]
"""Members of each line by name, asked when it is written; an empty one is left out."""


def without_secrets(text: str) -> str:
    """Returns a text with whatever looks like a secret struck out."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class HumanLines(logging.Formatter):
    """Lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns a line, and what an error left behind it."""
        return without_secrets(super().format(record))


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, trace, and an error with its frames."""

    def __init__(self, words: Words | None = None) -> None:
        super().__init__()
        self._words = {"trace_id": current_trace, **(words or {})}

    def format(self, record: logging.LogRecord) -> str:
        """Returns a line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
            "thread": record.threadName,
        }
        line |= {name: word for name, tell in self._words.items() if (word := tell())}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["stack"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def begin(
    settings: LogSettings, words: Words | None = None, stream: TextIO | None = None
) -> logging.Handler:
    """Has this process log to a stream, standard error unless told; returns the handler."""
    target = sys.stderr if stream is None else stream
    is_json = settings.format == "json" or (settings.format == "auto" and not target.isatty())
    handler = logging.StreamHandler(target)
    handler.setFormatter(JsonLines(words) if is_json else HumanLines(HUMAN))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(settings.level)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    return handler
