"""Prometheus metrics of the head end, served by ``/metrics``.

Labels say stage, area, quantity, operation, state, cause and the like, never an id: of meters,
gateways, commands and people there is no end, and who may scrape need not know them. Names that
come from outside (areas, quantities) are bounded by `bounded`.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hesper_contracts.frame import Kind
from hesper_contracts.quality import Quality
from prometheus_client import Counter, Gauge, Histogram

T = TypeVar("T", bound=Any)
MESSAGES = Counter("hesper_ingest_messages", "Messages taken from the broker.", ["kind"])
READINGS = Counter("hesper_ingest_readings", "Readings by what became of them.", ["outcome"])
EVENTS = Counter("hesper_ingest_events", "Events stored for the first time.")
EVENTS_BY_GROUP = Counter(
    "hesper_ingest_events_by_group",
    "The same by group of the catalogue; unknown: the catalogue has no such code.",
    ["group"],
)
RESULTS = Counter("hesper_ingest_results", "Command results stored for the first time.")
DEAD_LETTERS = Counter("hesper_ingest_dead_letters", "Messages set aside.", ["kind"])
RECEIPTS = Counter("hesper_ingest_receipts", "Receipts given.", ["verdict"])
RETRIES = Counter("hesper_ingest_store_retries", "Groups that the store did not take at once.")
STORE_WAITS = Gauge(
    "hesper_ingest_store_waits", "What is tried again until store or registry take it."
)
STAGE_CPU = Counter(
    "hesper_ingest_stage_cpu_seconds",
    "CPU time of ingest's and the jobs' threads, by stage.",
    ["stage"],
)
GROUP_READINGS = Histogram(
    "hesper_ingest_group_readings",
    "Readings stored in one transaction.",
    buckets=(1, 10, 100, 1_000, 10_000, 100_000, 1_000_000),
)
RECEIPT_SECONDS = Histogram(
    "hesper_ingest_receipt_seconds",
    "From a message's arrival to its receipt.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
STAGE_SECONDS = Histogram(
    "hesper_stage_seconds",
    "How long a turn of each stage of ingest and of each job takes.",
    ["stage"],
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 60),
)
VALUES = Counter("hesper_store_values", "Values of new readings, by quantity.", ["quantity"])
DOUBTED = Counter(
    "hesper_readings_doubted", "New readings with a quality flag, by flag.", ["quality"]
)
WAITING = Gauge("hesper_ingest_waiting_messages", "Messages received and not yet taken up.")
NO_ROOM = Counter(
    "hesper_ingest_no_room",
    "Messages that were not taken because very many octets wait; they come again.",
)
ERRORS = Counter(
    "hesper_errors", "What went wrong, by operation and cause.", ["operation", "cause"]
)
JOB_RUNS = Counter("hesper_job_runs", "Turns of the jobs on a schedule.", ["job", "outcome"])
JOB_ENDED = Gauge(
    "hesper_job_ended_timestamp_seconds",
    "When a job last ended well; until it has, when the process began to give it turns.",
    ["job"],
)
REQUESTS = Counter("hesper_http_requests", "Requests by route.", ["operation", "code"])
REQUEST_SECONDS = Histogram(
    "hesper_http_seconds",
    "How long answers take to begin, by route.",
    ["operation"],
    buckets=(0.005, 0.025, 0.1, 0.5, 1, 5, 30),
)
METERS = Gauge("hesper_meters", "Commissioned meters.", ["area", "state"])
READS_DUE = Gauge("hesper_reads_due", "Captures of the last 24 hours that were due.", ["area"])
READS_STORED = Gauge("hesper_reads_stored", "Of these, how many are stored.", ["area"])
GATEWAYS = Gauge("hesper_gateways", "Gateways in service.", ["state"])
GATEWAY_FAILURES = Gauge(
    "hesper_gateway_failures_since_start", "Failed attempts of all gateways.", ["hop"]
)
BACKLOG = Gauge("hesper_backlog_batches", "Batches that wait at the gateways for a receipt.")
BACKLOG_AGE = Gauge("hesper_backlog_oldest_seconds", "Age of the oldest of them.")
COMMANDS = Gauge("hesper_commands", "Commands of the last seven days.", ["state"])
LONG_JOBS = Gauge("hesper_long_jobs", "Long jobs.", ["state"])
LETTERS = Gauge("hesper_dead_letters_kept", "Messages that were set aside and are kept.")
DISK_FREE = Gauge("hesper_disk_free_bytes", "Room on the disk of each place.", ["place"])
DISK_SIZE = Gauge("hesper_disk_size_bytes", "Size of the disk of each place.", ["place"])
LOOKS = Counter("hesper_data_accesses", "Looks at interval data.", ["door", "operation"])
CONNECTED = Gauge("hesper_ingest_connected", "1 while the consumer hears the broker.")
STORE_ANSWERS = Gauge("hesper_store_answers", "1 while the store takes what is to be stored.")
STORE_ANSWERS.set(1)
IMAGE_REQUESTS = Counter("hesper_image_requests", "Requests of gateways for image blocks.")
IMAGE_BLOCKS = Counter("hesper_image_blocks", "Image blocks handed out.")
IMAGE_REFUSALS = Counter("hesper_image_refusals", "Requests for blocks that were not answered.")
CERTIFICATE_EXPIRES = Gauge(
    "hesper_certificate_expires_seconds",
    "Until the first certificate of a kind ends that counts: gateway, server, authority.",
    ["kind"],
)
CERTIFICATES_LATE = Gauge(
    "hesper_certificates_late",
    "Certificates of a kind with too little of their life left, or none.",
    ["kind"],
)
OPEN_GAPS = Gauge("hesper_gaps_open", "Gaps in the ledger that are not filled.")
OPEN_ALERTS = Gauge("hesper_alerts_open", "Alerts that are not cleared.", ["severity"])
HIDDEN_ALERTS = Gauge("hesper_alerts_hidden", "Open alerts that gave way to a greater one.")
NEW_ALERTS = Gauge("hesper_alerts_new_per_10_min", "Alerts raised in the last ten minutes.")
DELIVERIES = Counter(
    "hesper_deliveries", "Attempts to deliver a message about alerts.", ["kind", "outcome"]
)
DELIVERIES_WAITING = Gauge(
    "hesper_deliveries_waiting", "Messages about alerts that are not delivered yet.", ["kind"]
)
DELIVERY_OLDEST = Gauge(
    "hesper_delivery_oldest_seconds", "How long the oldest message that is due has waited."
)

OTHER = "other"


def value(metric: Counter | Gauge) -> float:
    """Returns what a metric without labels says; the whole registry takes milliseconds for that."""
    return next(iter(metric.collect())).samples[0].value


def bounded(counts: Mapping[str, T], most: int, add: Callable[[T, T], T]) -> dict[str, T]:
    """Returns the largest of some counts by name; the rest are one, named `other`.

    Args:
        counts: By a name that comes from outside.
        most: How many names a label may have.
        add: Adds two counts.
    """
    largest = sorted(counts, key=lambda name: counts[name], reverse=True)
    kept = {name: counts[name] for name in largest[:most]}
    for name in largest[most:]:
        kept[OTHER] = add(kept[OTHER], counts[name]) if OTHER in kept else counts[name]
    return kept


def _begin_at_zero() -> None:
    """Shows counters from the start on: "none in five minutes" is not "no figures"."""
    for outcome in ("new", "duplicate", "conflicting"):
        READINGS.labels(outcome)
    for verdict in ("stored", "rejected"):
        RECEIPTS.labels(verdict)
    for kind in Kind:
        MESSAGES.labels(kind)
        DEAD_LETTERS.labels(kind)
    DEAD_LETTERS.labels(OTHER)
    for flag in Quality:
        DOUBTED.labels((flag.name or OTHER).lower())
    ERRORS.labels("ingest", "unforeseen")


_begin_at_zero()
