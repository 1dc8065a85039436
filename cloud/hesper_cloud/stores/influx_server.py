"""How to speak to an InfluxDB server: line protocol in, InfluxQL out.

``/write`` and ``/query`` of InfluxDB 1.x over HTTP. InfluxQL is understood by every InfluxDB from 1
to 3, so reads are the same for all; `influx_v2.InfluxV2` writes by the 2.x interface.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import httpx
import msgspec
import orjson

from hesper_cloud.stores.port import StoreRefused, StoreUnavailable

Precision = Literal["s", "ns"]
Secret = Callable[[], str]
"""Tells a password or token as it is now; asked for each request."""
TIMEOUT_S = 30.0
LEDGER = "-ledger"
UNPACKED = {"Accept-Encoding": "identity"}  # else the server packs answers, which costs it a third
_CHUNK_ROWS = 10_000
_DAYS_OF_A_SHARD = 7  # by itself; nothing may be kept for less than a shard
_PACKED = "application/x-msgpack"
_BAD_REQUEST, _TOO_LARGE, _UNPROCESSABLE = 400, 413, 422
_LIMITS = ("limit exceeded", "max-values-per-tag", "max-series", "timeout", "retention policy")


class Table(NamedTuple):
    """Rows of one series: its tags, the names of the columns, and the rows."""

    tags: dict[str, str]
    columns: list[str]
    rows: list[list[Any]]


class InfluxServer(Protocol):
    """What the store asks of a server."""

    def prepare(self, keep_days: int = 0, *, is_for_ever: bool = False) -> None:
        """Makes the database if it is missing; points are kept for some days, 0: for ever."""
        ...

    def ledger(self) -> "InfluxServer":
        """Returns the database beside this one for what is kept for ever: batch ids, layouts."""
        ...

    def delete(
        self,
        measurement: str,
        meter: str | None = None,
        before: int | None = None,
        since: int | None = None,
    ) -> None:
        """Removes points of one meter (as a tag value) or of all, captured in a range of time."""
        ...

    def write(self, lines: bytes, precision: Precision) -> None:
        """Writes line protocol; it is on the server's disk on return."""
        ...

    def query(self, influxql: str, precision: Precision = "s") -> Iterator[Table]:
        """Yields the tables of one SELECT; times are integers in `precision`."""
        ...

    def query_at_once(self, influxql: str) -> list[Table]:
        """Returns the tables of one SELECT, times in seconds: quicker, for answers of some MB."""
        ...

    def close(self) -> None:
        """Closes connections."""
        ...


def secret_in(file: Path) -> Secret:
    """Returns what reads a file anew each time, so that a change counts without a restart.

    Raises:
        OSError: the file cannot be read; later that is `StoreUnavailable`, and tried again.
    """
    file.read_bytes()

    def read() -> str:
        try:
            return file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StoreUnavailable(f"what InfluxDB asks for is not in {file}: {error}") from error

    return read


class Account(httpx.Auth):
    """A user of InfluxDB 1.x."""

    def __init__(self, username: str, password: Secret) -> None:
        self._username = username
        self._password = password

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Adds who asks to a request."""
        yield from httpx.BasicAuth(self._username, self._password()).auth_flow(request)


class InfluxV1:
    """InfluxDB 1.x."""

    def __init__(self, url: str, database: str, account: Account | None = None) -> None:
        self._account = account
        self._url = url
        self._database = database
        self._http = httpx.Client(base_url=url, auth=account, timeout=TIMEOUT_S, headers=UNPACKED)

    def ledger(self) -> "InfluxV1":
        """Returns the database beside this one, on the same server."""
        return InfluxV1(self._url, self._database + LEDGER, self._account)

    def prepare(self, keep_days: int = 0, *, is_for_ever: bool = False) -> None:
        """Makes the database if it is missing; an existing retention is changed where asked."""
        name = f'"{self._database}"'
        self._command(f"CREATE DATABASE {name}")
        if keep_days:
            shards = " SHARD DURATION 1d" if keep_days < _DAYS_OF_A_SHARD else ""
            policy = f'"autogen" ON {name} DURATION {keep_days:d}d{shards}'
            self._command(f"ALTER RETENTION POLICY {policy}")
        elif is_for_ever:
            self._command(f'ALTER RETENTION POLICY "autogen" ON {name} DURATION INF')

    def delete(
        self,
        measurement: str,
        meter: str | None = None,
        before: int | None = None,
        since: int | None = None,
    ) -> None:
        """Removes points by InfluxQL."""
        conditions = [] if meter is None else [f"meter = '{escaped(meter)}'"]
        conditions += [] if before is None else [f"time < {before:d}s"]
        conditions += [] if since is None else [f"time >= {since:d}s"]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        self._command(f'DELETE FROM "{measurement}"{where}')  # noqa: S608 - InfluxQL, escaped above

    def _command(self, influxql: str) -> None:
        params = {"db": self._database, "q": influxql}
        response = self._send("POST", "/query", params=params)
        self._checked(response)
        for result in response.json().get("results", ()):
            if "error" in result:
                raise StoreUnavailable(f"InfluxDB: {result['error']}")

    def write(self, lines: bytes, precision: Precision) -> None:
        """Writes line protocol; InfluxDB 1.x answers after its log is on disk."""
        params = {"db": self._database, "precision": precision}
        self._checked(self._send("POST", "/write", params=params, content=lines))

    def query(self, influxql: str, precision: Precision = "s") -> Iterator[Table]:
        """Yields the tables of one SELECT, as they arrive."""
        params: dict[str, str | int] = {
            "db": self._database, "q": influxql, "epoch": precision,
            "chunked": "true", "chunk_size": _CHUNK_ROWS,
        }  # fmt: skip
        return tables(self._http, params)

    def query_at_once(self, influxql: str) -> list[Table]:
        """Returns the tables of one SELECT."""
        return tables_at_once(self._http, {"db": self._database, "q": influxql, "epoch": "s"})

    def close(self) -> None:
        """Closes connections."""
        self._http.close()

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **request)
        except httpx.TransportError as error:
            raise StoreUnavailable(f"InfluxDB cannot be reached: {error}") from error

    @staticmethod
    def _checked(response: httpx.Response) -> None:
        if not response.is_success:
            raise refusal(response.status_code, response.text)


def escaped(text: str) -> str:
    """Returns text for between the quotation marks of an InfluxQL string."""
    return text.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')


def tables(http: httpx.Client, params: dict[str, str | int]) -> Iterator[Table]:
    """Yields the tables of a chunked InfluxQL answer.

    Raises:
        StoreUnavailable: the server cannot be reached or answers with an error.
    """
    with _answer(http, params) as response:
        for line in response.iter_lines():
            if line:
                yield from _tables(orjson.loads(line))


def tables_at_once(http: httpx.Client, params: dict[str, str]) -> list[Table]:
    """Returns the tables of an InfluxQL answer in one piece, as MessagePack where the server can.

    Raises:
        StoreUnavailable: the server cannot be reached or answers with an error.
    """
    with _answer(http, params, {"Accept": _PACKED}) as response:
        packed = response.headers.get("Content-Type") == _PACKED
        decode = msgspec.msgpack.decode if packed else orjson.loads
        answer = decode(response.read())
        _require_whole(answer)
        return list(_tables(answer))


def _require_whole(answer: dict[str, Any]) -> None:
    """Raises StoreUnavailable where rows of a series, or whole series, were left out."""
    results = answer.get("results", ())
    series = chain.from_iterable(each.get("series", ()) for each in results)
    if any(each.get("partial") for each in (*results, *series)):
        raise StoreUnavailable("InfluxDB cuts answers short: its max-row-limit has to be 0")


@contextmanager
def _answer(
    http: httpx.Client,
    params: Mapping[str, str | int],
    headers: dict[str, str] | None = None,
) -> Iterator[httpx.Response]:
    """Yields what a query is answered with; what goes wrong with it, or in it, is told."""
    try:
        with http.stream("GET", "/query", params=params, headers=headers) as response:
            if not response.is_success:
                text = response.read().decode("utf-8", "replace")
                raise StoreUnavailable(f"InfluxDB answers {response.status_code}: {text[:300]}")
            yield response
    except (httpx.TransportError, orjson.JSONDecodeError, msgspec.DecodeError) as error:
        raise StoreUnavailable(f"InfluxDB cannot be read: {error}") from error


def _tables(answer: dict[str, Any]) -> Iterator[Table]:
    for result in (answer, *answer.get("results", ())):
        if "error" in result:
            raise StoreUnavailable(f"InfluxDB: {result['error']}")
        for series in result.get("series", ()):
            yield Table(series.get("tags", {}), series["columns"], series.get("values", []))


def refusal(status: int, text: str) -> StoreUnavailable | StoreRefused:
    """Returns the error for an answer to a write.

    A server's limits are a person's to raise; until then the data waits. What the server calls
    malformed it will never take.
    """
    message = f"InfluxDB answers {status}: {text[:300]}"
    for_good = status in {_BAD_REQUEST, _TOO_LARGE, _UNPROCESSABLE}
    if for_good and not any(limit in text for limit in _LIMITS):
        return StoreRefused(message)
    return StoreUnavailable(message)
