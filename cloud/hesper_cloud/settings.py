"""Configuration of the head end: one ``cloud.toml``, overridden by ``HESPER_…`` variables.

Relative paths count from the folder of the file. Nested values are reached from the environment
with two underscores, for example ``HESPER_WEB__PORT=8080``.
"""

import contextlib
import os
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from hesper_contracts.manifest import SEALS_NEEDED
from hesper_contracts.signing import key_id
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from hesper_cloud.alert_settings import AlertSettings, DeliverySettings
from hesper_cloud.job_settings import (
    BackfillSettings,
    BackupSettings,
    CleanUpSettings,
    ExportSettings,
    ServiceLevelSettings,
)
from hesper_cloud.observing_settings import (
    ErrorTrackingSettings,
    LogSettings,
    PrivacySettings,
    TracingSettings,
)
from hesper_cloud.thresholds import Validation
from hesper_cloud.web_settings import OidcSettings, WebSettings

__all__ = ["BadSettings", "Settings", "WebSettings"]

_INSTANCE = r"^[A-Za-z0-9._-]{1,63}$"  # part of a topic
_DATABASES = ("postgresql", "sqlite")
_FILE = "sqlite:///"
_PREFIX, _NESTED = "HESPER_", "__"
_DAY_S = 86_400
LEAST_DAYS_ONLINE = 40
MOST_UNCOMMISSIONED = 20_000


class BadSettings(Exception):
    """The file cannot be used; the text names every place, and no value: some are secrets."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BrokerAccount(_Section):
    """One account on the broker; the password is in a file of its own."""

    username: str
    password_file: Path

    def password(self) -> str:
        """Reads the password; whitespace around it does not count.

        Raises:
            OSError: it cannot be read, or is no text.
        """
        try:
            return self.password_file.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            raise OSError(f"{self.password_file}: the text is not UTF-8") from None


class BrokerSettings(_Section):
    """The MQTT broker and the accounts of the roles on it."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=1883, ge=1, le=65535)
    root: str = "hesper/v1"
    tls_ca: Path | None = None
    ingest: BrokerAccount | None = None
    authority: BrokerAccount | None = None
    republish: BrokerAccount | None = None
    images: BrokerAccount | None = None
    alerts: BrokerAccount | None = None
    tunnel: BrokerAccount | None = None
    """Of `hesper-cloud tunnel`, which people run."""


class InfluxSettings(_Section):
    """One InfluxDB server; the token (2.x, 3.x) or password (1.x) is in a file."""

    url: str = "http://127.0.0.1:8086"
    database: str = "hesper"
    organisation: str = ""
    username: str | None = None
    password_file: Path | None = None
    token_file: Path | None = None


class RetentionSettings(_Section):
    """How long the store keeps what; days."""

    raw_days: int = Field(default=0, ge=0)  # readings as they came; 0: for ever
    archive: str = ""  # where they go before they leave: a folder, or an address for fsspec
    batch_days: int = Field(default=400, ge=1)  # ids of stored batches (DuckDB; of events)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if not self.archive:
            return self
        if self.raw_days < LEAST_DAYS_ONLINE:
            raise ValueError(
                f"archive: readings of the last {LEAST_DAYS_ONLINE} days stay online, because "
                "gaps of theirs are still filled; set raw_days"
            )
        if "://" not in self.archive and not Path(self.archive).is_absolute():
            raise ValueError("archive: a folder is named from the root, /mnt/archive")
        return self

    @property
    def removed_after_days(self) -> int:
        """After how many days the store itself removes readings, unproven; 0: never."""
        return 0 if self.archive else self.raw_days

    def horizon(self, now: datetime) -> int:
        """Returns the instant before which readings may have left, epoch seconds: a midnight."""
        if not self.raw_days:
            return 0
        day = int(now.timestamp()) // _DAY_S - self.raw_days
        return day * _DAY_S


class StoreSettings(_Section):
    """Where readings live."""

    kind: Literal["duckdb", "influx"] = "duckdb"
    influx: InfluxSettings = InfluxSettings()
    sole_writer: bool = True  # no other consumer writes this InfluxDB database
    seal_after_h: int = Field(default=24, ge=1)  # a day's age before it becomes a sorted file
    memory_mib: Literal[0] | Annotated[int, Field(ge=256)] = 0  # DuckDB; 0: by the machine's memory
    retention: RetentionSettings = RetentionSettings()

    @model_validator(mode="after")
    def _one_lets_go(self) -> Self:
        if self.retention.archive and self.kind == "influx" and not self.sole_writer:
            raise ValueError(
                "retention.archive: one process writes and lets go; with sole_writer = false "
                "another one's late readings could be removed before they are archived"
            )
        return self


class DatabaseSettings(_Section):
    """URLs of the relational databases; empty means SQLite in the state folder."""

    url: str = ""
    authority_url: str = ""

    @field_validator("url", "authority_url")
    @classmethod
    def _is_of_a_kind_we_speak(cls, url: str) -> str:
        if not url or url.startswith(_FILE):
            return url
        from sqlalchemy import make_url  # a quarter of what a short command loads
        from sqlalchemy.exc import ArgumentError

        with contextlib.suppress(ArgumentError):
            if make_url(url).get_backend_name() in _DATABASES:
                return url
        raise ValueError(
            "it is postgresql+psycopg://NAME:PASSWORD@HOST/DATABASE, or sqlite:///FILE"
        )


class IngestSettings(_Section):
    """How the consumer groups messages and what it accepts."""

    instance: str = Field(default="main", pattern=_INSTANCE)
    group_max_messages: int = Field(default=1000, ge=1)
    group_max_octets: int = Field(default=4 * 1024 * 1024, gt=0)
    group_linger_ms: int = Field(default=40, ge=0)
    max_payload_octets: int = Field(default=4 * 1024 * 1024, ge=1)
    most_uncommissioned_meters: int = Field(default=MOST_UNCOMMISSIONED, ge=1)  # of one sender


class RuleSettings(_Section):
    """Thresholds of the first rules and of the gap ledger."""

    nominal_voltage_v: int = Field(default=230, ge=1)
    voltage_tolerance_percent: int = Field(default=10, ge=1)  # EN 50160:2010, 4.2.2
    # Capture periods without contact; a day where none is known.
    silent_after_periods: float = Field(default=3.0, gt=0)
    silent_after_s: int = Field(default=0, ge=0)  # 0: from the capture period
    default_capture_period_s: int = Field(default=900, ge=1)
    gap_grace_s: int = Field(default=0, ge=0)  # 0: from the capture period


class AuthoritySettings(_Section):
    """The authority process."""

    instance: str = Field(default="main", pattern=_INSTANCE)
    poll_ms: int = Field(default=10, ge=1, le=50)
    checkpoint_every_s: int = Field(default=600, ge=1)  # of the audit log, told to the gateways


class HsmSettings(_Section):
    """A token that holds the command key, reached over PKCS#11."""

    module: Path  # the token's library, such as /usr/lib/softhsm/libsofthsm2.so
    token: str  # its label
    label: str = "hesper-commands"  # of the key
    pin_file: Path


class EnrolmentSettings(_Section):
    """How the broker learns of a gateway's new password; without a file a person tells it."""

    password_file: Path | None = None  # Mosquitto's, which the authority may write
    reload: tuple[str, ...] = ()  # a program and its words, without a shell


class CertificateSettings(_Section):
    """Certificates by which gateways come to the broker, and how the broker learns which ended."""

    life_s: int = Field(default=30 * 86400, ge=10)  # of a gateway's certificate
    list_file: Path | None = None  # the broker's `crlfile`, which the authority may write
    list_url: str = ""  # where brokers fetch that list, if they do; goes into certificates
    external: bool = False  # another authority signs; people carry requests there


class FirmwareSettings(_Section):
    """Whose signatures under an image's manifest count, and how fast images leave."""

    release_keys: dict[str, str] = Field(default_factory=dict)  # key id → public key, hex
    gateway_octets_per_s: int = Field(default=50_000, ge=100)
    cell_octets_per_s: int = Field(default=200_000, ge=100)  # all gateways of one radio cell
    cells: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # cell → its gateways
    left_free_mb: int = Field(default=256, ge=0)  # of the disk

    @model_validator(mode="after")
    def _ids_belong_to_keys(self) -> Self:
        for name, public_key in self.release_keys.items():
            if key_id(bytes.fromhex(public_key)) != name:
                raise ValueError(f"{name!r} is not the id of public key {public_key}")
        return self

    @property
    def is_used(self) -> bool:
        """Whether any image can be released here."""
        return len(self.release_keys) >= SEALS_NEEDED


class Settings(BaseSettings):
    """Everything the cloud's processes are told from outside."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter=_NESTED, extra="forbid", frozen=True
    )

    state: Path = Path("state")
    broker: BrokerSettings = BrokerSettings()
    store: StoreSettings = StoreSettings()
    database: DatabaseSettings = DatabaseSettings()
    web: WebSettings = WebSettings()
    oidc: OidcSettings | None = None  # without it people log in with a password alone
    ingest: IngestSettings = IngestSettings()
    rules: RuleSettings = RuleSettings()
    alerts: AlertSettings = AlertSettings()
    delivery: DeliverySettings = DeliverySettings()
    validation: Validation = Validation()
    authority: AuthoritySettings = AuthoritySettings()
    enrolment: EnrolmentSettings = EnrolmentSettings()
    hsm: HsmSettings | None = None  # without it the command key is a file
    certificates: CertificateSettings = CertificateSettings()
    firmware: FirmwareSettings = FirmwareSettings()
    backfill: BackfillSettings = BackfillSettings()
    service_levels: ServiceLevelSettings = ServiceLevelSettings()
    exports: ExportSettings = ExportSettings()
    backup: BackupSettings = BackupSettings()
    clean_up: CleanUpSettings = CleanUpSettings()
    log: LogSettings = LogSettings()
    errors: ErrorTrackingSettings = ErrorTrackingSettings()
    tracing: TracingSettings = TracingSettings()
    privacy: PrivacySettings = PrivacySettings()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads ``path``.

        Raises:
            BadSettings: it is not TOML, or some of it, or of the variables, does not fit.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
            values.setdefault("state", "state")
            return cls(**_rooted(values, path.resolve().parent))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadSettings(f"{path}: not TOML: {error}") from None
        except ValidationError as error:
            raise BadSettings(_complaint(path, error)) from None
        except SettingsError as error:  # names the section, and neither variable nor value
            raise BadSettings(
                f'variables {_PREFIX}…: {error}; lists and tables are JSON there: ["10.0.0.1"]'
            ) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Puts the environment before the file."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    @model_validator(mode="after")
    def _fill_urls(self) -> Self:
        state = self.state.resolve()
        database = DatabaseSettings(
            url=self.database.url or f"{_FILE}{state / 'hesper.db'}",
            authority_url=self.database.authority_url or f"{_FILE}{state / 'authority.db'}",
        )
        object.__setattr__(self, "database", database)
        return self

    @property
    def keys(self) -> Path:
        """The folder of key files, readable by the service's account alone."""
        return self.state / "keys"

    @property
    def images(self) -> Path:
        """The folder of firmware images."""
        return self.state / "images"

    @property
    def readings_file(self) -> Path:
        """The file of the embedded store."""
        return self.state / "readings.duckdb"

    @property
    def energy_file(self) -> Path:
        """The file of aggregates, scores and verdicts."""
        return self.state / "energy.duckdb"


def _complaint(path: Path, error: ValidationError) -> str:
    """Returns one line per misfit, each with its place in the file."""
    lines = []
    for each in error.errors(include_url=False, include_input=False):
        place = ".".join(map(str, each["loc"])) or "file"
        is_unknown = each["type"] == "extra_forbidden"
        said = "there is no such setting" if is_unknown else each["msg"]
        where = _variable(each["loc"]) or path
        lines.append(f"{where}: {place}: {said.removeprefix('Value error, ')}")
    return "\n".join(lines)


def _variable(place: tuple[int | str, ...]) -> str | None:
    """Returns the variable that sets a place, or what is around it, before the file does."""
    known = {name.upper(): name for name in os.environ}
    around = (place[:length] for length in range(len(place), 0, -1))
    names = (f"{_PREFIX}{_NESTED.join(map(str, each))}".upper() for each in around)
    return next((known[name] for name in names if name in known), None)


_PATHS = frozenset(
    {
        "state",
        "folder",
        "password_file",
        "token_file",
        "tls_ca",
        "list_file",
        "module",
        "pin_file",
        "certificate",
        "key",
        "client_secret_file",
        "map_tiles",
    }
)


def _rooted(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Makes every path absolute, counted from the folder of the configuration file."""
    rooted: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            rooted[name] = _rooted(value, folder)
        elif name in _PATHS and value is not None:
            rooted[name] = folder / value
        else:
            rooted[name] = value
    return rooted
