"""Exports to a server that speaks S3: moto's, in a process of its own, or one that is named.

``HESPER_TEST_S3_URL`` and ``HESPER_TEST_S3_BUCKET`` name another, with the variables of AWS for its
credentials; what kills the server or takes its word away is left out then.
"""

import json
import os
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
import s3fs
from exported import COUNT, PROFILE, T0, block
from hesper_cloud.cli import app
from hesper_cloud.exports import targets
from hesper_cloud.exports.running import Wanted, export
from hesper_cloud.exports.scheduled import ScheduledExports, runs
from hesper_cloud.exports.targets import TargetError, put
from hesper_cloud.job_settings import ScheduledExport
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Group
from hesper_lab.ports import free_port
from hesper_lab.processes import Child, wait_until
from typer.testing import CliRunner

pytestmark = pytest.mark.integration

TWO_DAYS = Wanted("parquet", PROFILE, T0 - 86_400, T0 + 86_400)
MAY_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
NAMED = os.environ.get("HESPER_TEST_S3_URL")
of_our_own = pytest.mark.skipif(NAMED is not None, reason="the server that is named is not ours")


class Server:
    """A server with one bucket; ours looks at credentials, and forgets everything at its end."""

    def __init__(self, folder: Path) -> None:
        self.bucket = os.environ.get("HESPER_TEST_S3_BUCKET", "billing")
        self.port = free_port()
        self.url = NAMED or f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "moto.server", "-p", str(self.port)]
        unquestioned = {"INITIAL_NO_AUTH_ACTION_COUNT": "4"}  # those of `start`
        self.child = Child("moto", command, folder / "moto.log", unquestioned)
        self.variables: dict[str, str] = {}

    def start(self) -> None:
        self.child.start()
        wait_until(self._answers, self.child, 60, "answer")
        given = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
        iam = boto3.client("iam", endpoint_url=self.url, **given)
        iam.create_user(UserName="hesper")
        policy = json.dumps({"Version": "2012-10-17", "Statement": MAY_ALL})
        iam.put_user_policy(UserName="hesper", PolicyName="all", PolicyDocument=policy)
        key = iam.create_access_key(UserName="hesper")["AccessKey"]
        s3 = boto3.client("s3", endpoint_url=self.url, **given)
        s3.create_bucket(Bucket=self.bucket)
        self.variables = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/moto-api/", timeout=10).close()
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("s3"))
    try:
        if NAMED is None:
            made.start()
        yield made
    finally:
        made.child.kill()


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address of its own for every test; credentials stand in the environment."""
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    yield f"s3://{server.bucket}/{uuid.uuid4()}"
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDbStore]:
    made = DuckDbStore(tmp_path / "readings.duckdb")
    made.write(Group({}, [block("M1"), block("M2")], (T0 + 90_000) * 1000))
    yield made
    made.close()


def names_in(address: str) -> list[str]:
    """What is below an address, as another client sees it."""
    place, _, prefix = address.removeprefix("s3://").partition("/")
    found = boto3.Session().client("s3").list_objects_v2(Bucket=place, Prefix=prefix)
    return [each["Key"].removeprefix(prefix + "/") for each in found.get("Contents", [])]


def open_uploads(address: str) -> list[Any]:
    place, _, prefix = address.removeprefix("s3://").partition("/")
    found = boto3.Session().client("s3").list_multipart_uploads(Bucket=place, Prefix=prefix)
    return list(found.get("Uploads", []))


def test_partitioned_parquet_lands_and_is_read_back_equal(
    store: DuckDbStore, bucket: str, tmp_path: Path
) -> None:
    for _ in range(2):  # the second replaces what the first wrote
        done = export(store, TWO_DAYS, bucket)
    assert (done.readings, done.files) == (2 * COUNT, 2)
    days = [f"profile={PROFILE}/day=2026-06-0{day}/readings.parquet" for day in (1, 2)]
    assert names_in(bucket) == days
    export(store, TWO_DAYS, str(tmp_path / "lake"))
    there = pq.read_table(bucket.removeprefix("s3://"), filesystem=s3fs.S3FileSystem())
    assert there.num_rows == 2 * COUNT
    assert there.equals(pq.read_table(tmp_path / "lake"))


def test_a_day_that_has_no_readings_any_more_has_no_file_either(
    store: DuckDbStore, bucket: str
) -> None:
    before = f"profile={PROFILE}/day=2026-06-03/readings.parquet"
    put(f"{bucket}/{before}", [b"of an earlier export"])
    later = Wanted("parquet", PROFILE, T0, T0 + 2 * 86_400)
    export(store, later, bucket)
    assert before not in names_in(bucket)


def test_an_upload_that_breaks_off_leaves_what_was_there(bucket: str) -> None:
    put(f"{bucket}/a.csv", [b"whole"])

    def pieces() -> Iterator[bytes]:
        yield bytes(targets._PART)
        yield bytes(targets._PART)
        assert open_uploads(bucket), "parts are on their way"
        raise OSError("the line went")

    with pytest.raises(TargetError, match="the line went"):
        put(f"{bucket}/a.csv", pieces())
    assert (names_in(bucket), open_uploads(bucket)) == (["a.csv"], [])
    assert s3fs.S3FileSystem(skip_instance_cache=True).cat(f"{bucket}/a.csv") == b"whole"


def test_an_upload_of_many_parts_is_whole(bucket: str) -> None:
    pieces = [bytes([part]) * (targets._PART // 2 + 7) for part in range(3)]
    assert put(f"{bucket}/big.csv", iter(pieces)) == sum(map(len, pieces))
    assert s3fs.S3FileSystem().cat(f"{bucket}/big.csv") == b"".join(pieces)
    assert names_in(bucket) == ["big.csv"]


@of_our_own
@pytest.mark.parametrize(
    ("variable", "told"),
    [("AWS_SECRET_ACCESS_KEY", "ignature"), ("AWS_ACCESS_KEY_ID", "ccess ?[kK]ey")],
)
def test_wrong_credentials_are_told_without_the_secret(
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    variable: str,
    told: str,
) -> None:
    monkeypatch.setenv(variable, "not-the-right-one")
    with pytest.raises(TargetError, match=told) as refused:
        put(f"{bucket}/a.csv", [b"readings"])
    said = f"{refused.value} {caplog.text}"
    assert bucket in said
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in said
    state = tmp_path / "state"
    state.mkdir()
    DuckDbStore(state / "readings.duckdb").close()
    (tmp_path / "cloud.toml").write_text('state = "state"\n')
    span = ["--from", "2026-06-01", "--to", "2026-06-03", "-c", str(tmp_path / "cloud.toml")]
    ended = CliRunner().invoke(app, ["export", "csv", bucket, *span])
    assert ended.exit_code == 1
    assert bucket in ended.output
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in ended.output


def test_a_bucket_that_is_not_there_is_not_made(bucket: str) -> None:
    missing = f"s3://missing-{uuid.uuid4()}"
    with pytest.raises(TargetError, match="bucket does not exist"):
        put(f"{missing}/folder/a.csv", [b"readings"])
    with pytest.raises(FileNotFoundError):
        s3fs.S3FileSystem().ls(missing)


@of_our_own
def test_a_scheduled_export_outlives_a_server_that_is_killed(
    server: Server,
    head_end: Any,
    store: DuckDbStore,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, alarms = head_end.clock, list[str | None]()
    clock.now = datetime(2026, 6, 2, 7, tzinfo=UTC)
    wanted = ScheduledExport(name="mdm", format="parquet", target=bucket, tries=3, retry_s=100)
    exports = ScheduledExports(
        head_end.databases.registry, store, (wanted,), clock, lambda _, why: alarms.append(why)
    )

    def upload_meets_the_end(self: Any, *_: Any) -> Any:
        server.child.kill()
        return sent(self, *_)

    sent = s3fs.core.S3File.commit
    with monkeypatch.context() as patched:
        patched.setattr(s3fs.core.S3File, "commit", upload_meets_the_end)
        exports.turn()
    (run,) = runs(head_end.databases.registry, 10)
    assert (run.state, run.tries) == ("failed", 1)
    assert bucket in str(run.reason)
    assert server.variables["AWS_SECRET_ACCESS_KEY"] not in str(run.reason)
    server.start()
    for name, value in server.variables.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    assert names_in(bucket) == []
    clock.now += timedelta(seconds=101)
    exports.turn()
    (run,) = runs(head_end.databases.registry, 10)
    assert (run.state, run.tries, run.row_count) == ("done", 2, 16)
    assert names_in(bucket) == [f"profile={PROFILE}/day=2026-06-01/readings.parquet"]
    assert [alarms[-2] is None, alarms[-1] is None] == [False, True]
