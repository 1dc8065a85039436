"""Prometheus metrics of the cloud's ingest side, served by ``/metrics``."""

from prometheus_client import Counter, Gauge, Histogram

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
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
CONNECTED = Gauge("hesper_ingest_connected", "1 while the consumer is connected to the broker.")
IMAGE_REQUESTS = Counter("hesper_image_requests", "Requests of gateways for image blocks.")
IMAGE_BLOCKS = Counter("hesper_image_blocks", "Image blocks handed out.")
IMAGE_REFUSALS = Counter("hesper_image_refusals", "Requests for blocks that were not answered.")
CERTIFICATE_EXPIRES = Gauge(
    "hesper_certificate_expires_seconds",
    "Until the first certificate of a kind ends that counts: gateway, server, authority.",
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
