"""InfluxDB 2.x: administration and writes through influxdb-client, reads by InfluxQL.

Lines go out as ready bytes, synchronously: the batching writer of the client hides failures.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from hesper_cloud.stores.influx_server import (
    LEDGER,
    TIMEOUT_S,
    UNPACKED,
    Precision,
    Secret,
    Table,
    escaped,
    refusal,
    tables,
    tables_at_once,
)
from hesper_cloud.stores.port import LATEST, StoreUnavailable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ADMISSION = "Authorization"
_MOMENT = timedelta(microseconds=1)


class InfluxV2:
    """InfluxDB 2.x; the bucket's name serves as the database's name for InfluxQL."""

    def __init__(self, url: str, bucket: str, organisation: str, token: Secret) -> None:
        self._url, self._token = url, token
        self._bucket = bucket
        self._organisation = organisation
        self._client: Any = InfluxDBClient(  # the library has no types
            url=url, token="", org=organisation, timeout=int(TIMEOUT_S * 1000)
        )
        self._writer: Any = self._client.write_api(write_options=SYNCHRONOUS)
        self._http = httpx.Client(
            base_url=url, auth=self._admitted, timeout=TIMEOUT_S, headers=UNPACKED
        )

    def _admitted(self, request: httpx.Request) -> httpx.Request:
        request.headers[_ADMISSION] = self._admission()
        return request

    def _admission(self) -> str:
        return f"Token {self._token()}"

    def _renew_admission(self) -> None:
        """Tells the library the token as it is now."""
        self._client.api_client.set_default_header(_ADMISSION, self._admission())

    def ledger(self) -> "InfluxV2":
        """Returns the bucket beside this one, on the same server."""
        return InfluxV2(self._url, self._bucket + LEDGER, self._organisation, self._token)

    def prepare(self, keep_days: int = 0, *, is_for_ever: bool = False) -> None:
        """Makes the bucket if it is missing; an existing retention is changed where asked."""
        self._renew_admission()
        rules = [{"type": "expire", "everySeconds": keep_days * 86_400}] if keep_days else []
        try:
            buckets = self._client.buckets_api()
            found = buckets.find_buckets(name=self._bucket).buckets
            if not found:
                buckets.create_bucket(
                    bucket_name=self._bucket, org=self._organisation, retention_rules=rules
                )
            elif rules or is_for_ever:
                found[0].retention_rules = rules
                buckets.update_bucket(found[0])
        except (ApiException, InfluxDBError, HTTPError) as error:
            raise StoreUnavailable(f"InfluxDB bucket {self._bucket!r}: {error}") from error

    def delete(
        self,
        measurement: str,
        meter: str | None = None,
        before: int | None = None,
        since: int | None = None,
    ) -> None:
        """Removes points through the delete interface; InfluxQL has no DELETE in 2.x."""
        self._renew_admission()
        predicate = f'_measurement="{measurement}"'
        if meter is not None:
            predicate += f' AND meter="{escaped(meter)}"'
        start = _EPOCH if since is None else datetime.fromtimestamp(since, UTC)
        end = datetime.fromtimestamp(LATEST if before is None else before, UTC)
        stop = end - _MOMENT  # the interface takes both ends in; points are of whole seconds
        try:
            self._client.delete_api().delete(
                start, stop, predicate, bucket=self._bucket, org=self._organisation
            )
        except (ApiException, InfluxDBError, HTTPError) as error:
            raise StoreUnavailable(f"InfluxDB does not delete: {error}") from error

    def write(self, lines: bytes, precision: Precision) -> None:
        """Writes line protocol; the server answers after its log is on disk."""
        self._renew_admission()
        try:
            self._writer.write(bucket=self._bucket, record=lines, write_precision=precision)
        except ApiException as error:
            raise refusal(error.status or 0, str(error.body or error.reason)) from error
        except HTTPError as error:
            raise StoreUnavailable(f"InfluxDB cannot be reached: {error}") from error

    def query(self, influxql: str, precision: Precision = "s") -> Iterator[Table]:
        """Yields the tables of one SELECT."""
        params: dict[str, str | int] = {
            "db": self._bucket, "q": influxql, "epoch": precision, "chunked": "true",
        }  # fmt: skip
        return tables(self._http, params)

    def query_at_once(self, influxql: str) -> list[Table]:
        """Returns the tables of one SELECT."""
        return tables_at_once(self._http, {"db": self._bucket, "q": influxql, "epoch": "s"})

    def close(self) -> None:
        """Closes connections."""
        self._writer.close()
        self._client.close()
        self._http.close()
