"""The closed set of metrics, with their meanings. Labels are bounded: never an id, a type or a code."""

from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of one process, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        # Receiver
        self.deliveries = counter(
            "binmirror_deliveries_total",
            "Webhook requests by outcome: stored, spooled, unwanted, unauthorized, too_large, timeout, "
            "unavailable, method_not_allowed, disconnected. unauthorized and too_large make Voucherify "
            "disable the webhook: alarm on them.",
            ["project", "outcome"],
        )
        self.delivery_seconds = histogram(
            "binmirror_delivery_seconds",
            "From the first byte seen to the answer of a webhook request, in seconds.",
            buckets=_FAST,
        )
        self.last_delivery = gauge(
            "binmirror_last_verified_delivery_timestamp_seconds",
            "Unix time of the newest verified delivery received by this process.",
            ["project"],
        )
        # Event log, spool, relay
        self.append_batch_size = histogram(
            "binmirror_log_append_batch_size",
            "Records that shared one durable write.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
        )
        self.log_failures = counter(
            "binmirror_log_append_failures_total",
            "Durable writes to the event log that failed: unavailable, refused.",
            ["reason"],
        )
        self.circuit_open = gauge(
            "binmirror_log_circuit_open",
            "1 while deliveries of the partition go straight to the spool.",
            ["partition"],
        )
        self.spool_records = gauge(
            "binmirror_spool_records",
            "Records waiting in the spool of this machine.",
        )
        self.spool_set_aside = gauge(
            "binmirror_spool_set_aside_records",
            "Records that Kafka refused for good: look into them.",
        )
        self.relayed = counter(
            "binmirror_spool_relayed_total",
            "Records taken out of the spool: relayed, set_aside.",
            ["result"],
        )
        self.reader_rejoins = counter(
            "binmirror_log_reader_rejoins_total",
            "Times that the reader of the log gave up its consumer and joined its group anew: stalled, "
            "frozen (the process), idle (nobody polled), failed.",
            ["why"],
        )
        # Worker
        self.events = counter(
            "binmirror_events_total",
            "Records handled by the worker: applied, ignored, failed, duplicate.",
            ["status"],
        )
        self.entries_changed = counter(
            "binmirror_entries_changed_total",
            "Bin entries written by the worker.",
        )
        self.batch_seconds = histogram(
            "binmirror_batch_seconds",
            "One batch of the worker, from polled to committed, in seconds.",
            buckets=_FAST,
        )
        self.batch_events = histogram(
            "binmirror_batch_events",
            "Records in one batch of the worker.",
            buckets=(1, 10, 50, 100, 250, 500, 1000, 2500, 5000),
        )
        self.lag = gauge(
            "binmirror_lag_records",
            "Records of the partition that are in the log but not in the projection.",
            ["partition"],
        )
        self.fenced = counter(
            "binmirror_worker_fenced_total",
            "Batches rolled back because another worker owns the partition.",
        )
        self.worker_retries = counter(
            "binmirror_worker_retries_total",
            "Waits after a transient failure: log, projection.",
            ["server"],
        )
        self.handler_exceptions = counter(
            "binmirror_handler_exceptions_total",
            "Unexpected exceptions of handlers; over the limit the worker stops.",
        )
        self.worker_stopped = gauge(
            "binmirror_worker_stopped",
            "1 when the worker has stopped until a person decides; /health says why.",
        )
        # Reconcile
        self.reconcile_runs = counter(
            "binmirror_reconcile_runs_total",
            "Reconcile runs by outcome: done, failed, stopped (so many entries are missing that a person "
            "decides).",
            ["project", "outcome"],
        )
        self.reconcile_entries = counter(
            "binmirror_reconcile_entries_total",
            "Entries of Voucherify's bin by finding: read, same, lacking, real_id, confirmed, changed, back, "
            "vanished, purged_here_only, skipped.",
            ["project", "finding"],
        )
        self.reconcile_done = gauge(
            "binmirror_reconcile_last_done_timestamp_seconds",
            "Unix time when this process last completed a run, by mode: full, incremental.",
            ["project", "mode"],
        )
        self.webhook_missed = gauge(
            "binmirror_webhook_missed_entries",
            "Vouchers and campaigns deleted within the last day, more than an hour ago, that no webhook told "
            "of; at most 1000. Above 0 the webhook may be disabled: `binmirror status` says what to do.",
            ["project"],
        )
        # Topic of entries
        self.entries_topic_publishing = gauge(
            "binmirror_entries_topic_publishing",
            "1 while this process publishes the topic of entries; of all processes one does.",
        )
        self.entries_topic_stopped = gauge(
            "binmirror_entries_topic_stopped",
            "1 while a person has to mend something before the topic of entries can be published to; /health "
            "says what.",
        )
        self.entries_topic_complete = gauge(
            "binmirror_entries_topic_complete_timestamp_seconds",
            "Unix time when this process last saw that the topic held everything that the projection did.",
        )
        self.entries_topic_records = counter(
            "binmirror_entries_topic_records_total",
            "Records published to the topic of entries: value, tombstone.",
            ["kind"],
        )
        self.entries_topic_seconds = histogram(
            "binmirror_entries_topic_transaction_seconds",
            "One transaction of the topic of entries, in seconds.",
            buckets=_FAST,
        )
        self.entries_topic_retries = counter(
            "binmirror_entries_topic_retries_total",
            "Waits of the publisher after a transient failure: topic, projection.",
            ["server"],
        )
        self.entries_topic_fenced = counter(
            "binmirror_entries_topic_fenced_total",
            "Times that another process had taken the topic of entries over. Growing steadily: two "
            "installations share a topic.",
        )
        # API
        self.streams = gauge(
            "binmirror_change_streams",
            "Open streams of changes.",
        )
        self.streams_ended = counter(
            "binmirror_change_streams_ended_total",
            "Streams of changes by why they ended: gone (the reader), slow (the reader), expired (its "
            "cursor), refused (its credentials), shutdown, failed; full: not begun, too many were open.",
            ["why"],
        )
        self.changes_told = counter(
            "binmirror_changes_told_total",
            "Changes told to followers by how: page, stream.",
            ["how"],
        )
        self.projection_age = gauge(
            "binmirror_projection_age_seconds",
            "Since the projection held all of the log, when last looked at; infinite: never yet.",
        )
        self.fresh_waits = counter(
            "binmirror_fresh_waits_total",
            "Requests that demanded a fresh projection, by outcome: fresh, stale.",
            ["outcome"],
        )
        self.fresh_wait_seconds = histogram(
            "binmirror_fresh_wait_seconds",
            "How long they waited, in seconds.",
            buckets=_FAST,
        )
        self.requests = counter(
            "binmirror_http_requests_total",
            "Requests other than webhooks, by route and status.",
            ["route", "status"],
        )
        self.request_seconds = histogram(
            "binmirror_http_request_seconds",
            "Requests other than webhooks, in seconds.",
            ["route"],
            buckets=_FAST,
        )
