"""The closed set of metrics, with their meanings. Labels are bounded: never an id, a type or a code."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of one process, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry(auto_describe=True)
        # Receiver
        self.deliveries = Counter(
            "binmirror_deliveries_total",
            "Webhook requests by outcome: stored, spooled, unwanted, unauthorized, too_large, timeout, "
            "unavailable, method_not_allowed, disconnected. unauthorized and too_large make Voucherify "
            "disable the webhook: alarm on them.",
            ["project", "outcome"],
            registry=registry,
        )
        self.delivery_seconds = Histogram(
            "binmirror_delivery_seconds",
            "From the first byte seen to the answer of a webhook request, in seconds.",
            buckets=_FAST,
            registry=registry,
        )
        self.last_delivery = Gauge(
            "binmirror_last_verified_delivery_timestamp_seconds",
            "Unix time of the newest verified delivery received by this process.",
            ["project"],
            registry=registry,
        )
        # Event log, spool, relay
        self.append_batch_size = Histogram(
            "binmirror_log_append_batch_size",
            "Records that shared one durable write.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
            registry=registry,
        )
        self.log_failures = Counter(
            "binmirror_log_append_failures_total",
            "Durable writes to the event log that failed: unavailable, refused.",
            ["reason"],
            registry=registry,
        )
        self.circuit_open = Gauge(
            "binmirror_log_circuit_open",
            "1 while deliveries of the partition go straight to the spool.",
            ["partition"],
            registry=registry,
        )
        self.spool_records = Gauge(
            "binmirror_spool_records", "Records waiting in the spool of this machine.", registry=registry
        )
        self.spool_set_aside = Gauge(
            "binmirror_spool_set_aside_records",
            "Records that Kafka refused for good: look into them.",
            registry=registry,
        )
        self.relayed = Counter(
            "binmirror_spool_relayed_total",
            "Records taken out of the spool: relayed, set_aside.",
            ["result"],
            registry=registry,
        )
        self.reader_rejoins = Counter(
            "binmirror_log_reader_rejoins_total",
            "Times that the reader of the log gave up its consumer and joined its group anew: stalled, "
            "frozen (the process), idle (nobody polled), failed.",
            ["why"],
            registry=registry,
        )
        # Worker
        self.events = Counter(
            "binmirror_events_total",
            "Records handled by the worker: applied, ignored, failed, duplicate.",
            ["status"],
            registry=registry,
        )
        self.entries_changed = Counter(
            "binmirror_entries_changed_total", "Bin entries written by the worker.", registry=registry
        )
        self.batch_seconds = Histogram(
            "binmirror_batch_seconds",
            "One batch of the worker, from polled to committed, in seconds.",
            buckets=_FAST,
            registry=registry,
        )
        self.batch_events = Histogram(
            "binmirror_batch_events",
            "Records in one batch of the worker.",
            buckets=(1, 10, 50, 100, 250, 500, 1000, 2500, 5000),
            registry=registry,
        )
        self.lag = Gauge(
            "binmirror_lag_records",
            "Records of the partition that are in the log but not in the projection.",
            ["partition"],
            registry=registry,
        )
        self.fenced = Counter(
            "binmirror_worker_fenced_total",
            "Batches rolled back because another worker owns the partition.",
            registry=registry,
        )
        self.worker_retries = Counter(
            "binmirror_worker_retries_total",
            "Waits after a transient failure: log, projection.",
            ["server"],
            registry=registry,
        )
        self.handler_exceptions = Counter(
            "binmirror_handler_exceptions_total",
            "Unexpected exceptions of handlers; over the limit the worker stops.",
            registry=registry,
        )
        self.worker_stopped = Gauge(
            "binmirror_worker_stopped",
            "1 when the worker has stopped until a person decides; /health says why.",
            registry=registry,
        )
        # Reconcile
        self.reconcile_runs = Counter(
            "binmirror_reconcile_runs_total",
            "Reconcile runs by outcome: done, failed, stopped (so many entries are missing that a person "
            "decides).",
            ["project", "outcome"],
            registry=registry,
        )
        self.reconcile_entries = Counter(
            "binmirror_reconcile_entries_total",
            "Entries of Voucherify's bin by finding: read, same, lacking, real_id, confirmed, changed, back, "
            "vanished, purged_here_only, skipped.",
            ["project", "finding"],
            registry=registry,
        )
        self.reconcile_done = Gauge(
            "binmirror_reconcile_last_done_timestamp_seconds",
            "Unix time when this process last completed a run, by mode: full, incremental.",
            ["project", "mode"],
            registry=registry,
        )
        self.webhook_missed = Gauge(
            "binmirror_webhook_missed_entries",
            "Vouchers and campaigns deleted within the last day, more than an hour ago, that no webhook told "
            "of; at most 1000. Above 0 the webhook may be disabled: `binmirror status` says what to do.",
            ["project"],
            registry=registry,
        )
        # Topic of entries
        self.entries_topic_publishing = Gauge(
            "binmirror_entries_topic_publishing",
            "1 while this process publishes the topic of entries; of all processes one does.",
            registry=registry,
        )
        self.entries_topic_stopped = Gauge(
            "binmirror_entries_topic_stopped",
            "1 while a person has to mend something before the topic of entries can be published to; /health "
            "says what.",
            registry=registry,
        )
        self.entries_topic_complete = Gauge(
            "binmirror_entries_topic_complete_timestamp_seconds",
            "Unix time when this process last saw that the topic held everything that the projection did.",
            registry=registry,
        )
        self.entries_topic_records = Counter(
            "binmirror_entries_topic_records_total",
            "Records published to the topic of entries: value, tombstone.",
            ["kind"],
            registry=registry,
        )
        self.entries_topic_seconds = Histogram(
            "binmirror_entries_topic_transaction_seconds",
            "One transaction of the topic of entries, in seconds.",
            buckets=_FAST,
            registry=registry,
        )
        self.entries_topic_retries = Counter(
            "binmirror_entries_topic_retries_total",
            "Waits of the publisher after a transient failure: topic, projection.",
            ["server"],
            registry=registry,
        )
        self.entries_topic_fenced = Counter(
            "binmirror_entries_topic_fenced_total",
            "Times that another process had taken the topic of entries over. Growing steadily: two "
            "installations share a topic.",
            registry=registry,
        )
        # API
        self.streams = Gauge(
            "binmirror_change_streams",
            "Open streams of changes.",
            registry=registry,
        )
        self.streams_ended = Counter(
            "binmirror_change_streams_ended_total",
            "Streams of changes by why they ended: gone (the reader), slow (the reader), expired (its "
            "cursor), refused (its credentials), shutdown, failed; full: not begun, too many were open.",
            ["why"],
            registry=registry,
        )
        self.changes_told = Counter(
            "binmirror_changes_told_total",
            "Changes told to followers by how: page, stream.",
            ["how"],
            registry=registry,
        )
        self.projection_age = Gauge(
            "binmirror_projection_age_seconds",
            "Since the projection held all of the log, when last looked at; infinite: never yet.",
            registry=registry,
        )
        self.fresh_waits = Counter(
            "binmirror_fresh_waits_total",
            "Requests that demanded a fresh projection, by outcome: fresh, stale.",
            ["outcome"],
            registry=registry,
        )
        self.fresh_wait_seconds = Histogram(
            "binmirror_fresh_wait_seconds",
            "How long they waited, in seconds.",
            buckets=_FAST,
            registry=registry,
        )
        self.requests = Counter(
            "binmirror_http_requests_total",
            "Requests other than webhooks, by route and status.",
            ["route", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "binmirror_http_request_seconds",
            "Requests other than webhooks, in seconds.",
            ["route"],
            buckets=_FAST,
            registry=registry,
        )
