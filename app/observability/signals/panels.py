"""The definitions of all dashboards, as plain data. Each line names a metric that processes expose: `promql.py`
turns it into a query, `live.py` reads its current value. The scraper of a process adds the labels `color`,
`release` and `component` to each series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Unit = Literal["per second", "share", "seconds", "bytes", "number", "cores"]
Kind = Literal["rate", "ratio", "quantile", "highest", "lowest", "total", "query"]
Where = Mapping[str, str]  # label -> regular expression of its whole value


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a graph, with one series for each combination of the labels `by`.

    The kinds: `rate`, the growth of a counter per second; `ratio`, the growth of one counter divided by that of
    another; `quantile` of a histogram; `highest`, `lowest` and `total` of a gauge over all processes; `query`, where
    `metric` is PromQL that only Prometheus answers.
    """

    kind: Kind
    metric: str
    by: tuple[str, ...] = ()
    where: Where = field(default_factory=dict)
    per: str = ""
    per_where: Where = field(default_factory=dict)
    quantile: float = 0.0
    name: str = ""  # in the legend, before the labels


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph. `about` tells the reader how to interpret it."""

    title: str
    unit: Unit
    lines: tuple[Series, ...]
    about: str = ""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard. `slug` determines its file name and its uid in Grafana."""

    slug: str
    title: str
    panels: tuple[Panel, ...]


_PEOPLE: Final = {"route": "/v1/.*"}  # routes of users: neither the probes that are sent every second nor the page's files
_FAILED: Final = {"status": "5..", **_PEOPLE}
_REQUESTS: Final = "teal_http_requests_total"
_SECONDS: Final = "teal_http_request_seconds"


def _quantiles(metric: str, *by: str, where: Where | None = None) -> tuple[Series, ...]:
    return tuple(Series("quantile", metric, by, where or {}, quantile=q, name=f"p{round(100 * q)}") for q in (0.5, 0.99))


SERVICE: Final = Dashboard("service", "Service", (
    Panel("Requests", "per second", (Series("rate", _REQUESTS, ("route",), _PEOPLE),), "What users ask for, by route."),
    Panel("Requests by color", "per second", (Series("rate", _REQUESTS, ("color",), _PEOPLE),), "Who answers."),
    Panel("Errors", "share", (Series("ratio", _REQUESTS, ("color",), _FAILED, _REQUESTS, _PEOPLE),), "Answers with 5xx. 0.1 % is the budget."),
    Panel("Refused", "per second", (Series("rate", _REQUESTS, ("status",), {"status": "4.."}),), "401 and 403: keys. 429: limits. 413, 422: requests."),
    Panel("Time to the end of the answer", "seconds", _quantiles(_SECONDS, "route", where=_PEOPLE), "99 % of searches within 1 s are promised."),
    Panel("Time by color", "seconds", _quantiles(_SECONDS, "color", where=_PEOPLE), ""),
    Panel("First event of a streamed answer", "seconds", _quantiles("teal_ask_first_event_seconds"), "What a reader waits for."),
    Panel("Streams", "number", (Series("total", "teal_open_streams", name="open"),), "Open ones keep a process from ending: up to 30 s."),
    Panel("Broken streams", "share", (Series("ratio", "teal_streams_broken_total", per="teal_streams_total"),), "On our side; readers who left do not count."),
    Panel("Event loop", "seconds", _quantiles("teal_event_loop_lag_seconds"), "How late timers fire: above 50 ms a process is full."),
    Panel("Parts", "number", (Series("lowest", "teal_part_up", ("part",)),), "1 answers, 0 does not."),
    Panel("Bad events, last hour", "share", (Series("query", "max by (slo) (slo:bad_events:ratio_rate1h)", ("slo",)),), "Against the objectives' budgets (docs/observability.md)."),
))  # fmt: skip

RETRIEVAL: Final = Dashboard("retrieval", "Retrieval and answers", (
    Panel("Searches of the index", "per second", (Series("rate", "teal_retrievals_total", name="all"), Series("rate", "teal_retrieval_degraded_total", name="by words alone")), "What the caches did not answer."),
    Panel("Found nothing", "share", (Series("ratio", "teal_retrieval_empty_total", per="teal_retrievals_total"),), "A jump after a release or a re-index is a fault."),
    Panel("Passages found", "number", (Series("ratio", "teal_retrieved_passages_total", per="teal_retrievals_total", name="a search"),), ""),
    Panel("Time of a search", "seconds", _quantiles("teal_retrieval_seconds"), "The query's vector, the engine, fusion."),
    Panel("Sent to Elasticsearch twice", "per second", (Series("rate", "teal_search_hedges_total"),), "The first request had no answer for 0.5 s: a node is slow or gone."),
    Panel("Cache", "share", (Series("ratio", "teal_cache_lookups_total", ("kind",), {"outcome": "hit.*"}, "teal_cache_lookups_total"),), "Lookups answered by the process or by Redis."),
    Panel("Cache of the processes", "bytes", (Series("total", "teal_cache_local_bytes"),), ""),
    Panel("Redis calls that failed", "per second", (Series("rate", "teal_cache_errors_total"),), "Requests go on without."),
    Panel("Answers", "per second", (Series("rate", "teal_answers_total", ("grounded",)),), "grounded false: it said that it does not know."),
    Panel("Sentences without a source", "share", (Series("ratio", "teal_dropped_claims_total", per="teal_claims_total"),), "Dropped before a reader sees them."),
    Panel("First piece from the model", "seconds", _quantiles("teal_model_first_token_seconds", "provider"), ""),
    Panel("Tokens", "per second", (Series("rate", "teal_model_tokens_total", ("provider", "kind")),), "As the provider counts them; it bills them."),
    Panel("The model fails or throttles", "per second", (Series("rate", "teal_model_errors_total", ("provider",), name="failed"), Series("rate", "teal_model_rate_limited_total", ("provider",), name="429")), ""),
))  # fmt: skip

SEARCH: Final = Dashboard("search-engine", "Search engine", (
    Panel("Cluster", "number", (Series("highest", "teal_search_status"),), "0 green, 1 yellow: copies missing, 2 red: shards missing."),
    Panel("Unassigned shards", "number", (Series("highest", "teal_search_unassigned_shards"),), ""),
    Panel("Heap", "share", (Series("highest", "teal_search_heap_used_share", ("node",)),), "It breathes; a floor above 0.75 is too little."),
    Panel("Disk", "share", (Series("highest", "teal_search_disk_used_share", ("node",)),), "0.85 low watermark, 0.90 high, 0.95 read-only."),
    Panel("Time of a query on a shard", "seconds", (Series("ratio", "teal_search_query_seconds_total", per="teal_search_queries_total"),), "Without the network and the service."),
    Panel("Queries on shards", "per second", (Series("rate", "teal_search_queries_total"),), ""),
    Panel("Refused", "per second", (Series("rate", "teal_search_rejected_total"),), "Full queues."),
    Panel("Index", "bytes", (Series("highest", "teal_search_index_bytes"),), "Primaries, or the embedded index's file."),
    Panel("Passages", "number", (Series("highest", "teal_search_index_documents"),), ""),
    Panel("Age of the last snapshot", "seconds", (Series("lowest", "teal_snapshot_age_seconds"),), "Daily; 26 h page somebody."),
))  # fmt: skip

INGEST: Final = Dashboard("ingest", "Ingestion", (
    Panel("Documents", "number", (Series("highest", "teal_documents", ("status",)),), ""),
    Panel("Queue", "number", (Series("highest", "teal_ingest_queue_depth"),), "Waiting or in work."),
    Panel("Oldest that waits", "seconds", (Series("highest", "teal_ingest_oldest_queued_seconds"),), "15 min are a ticket."),
    Panel("Finished", "per second", (Series("rate", "teal_ingest_documents_total", ("result",)),), ""),
    Panel("From accepted to findable", "seconds", _quantiles("teal_ingest_freshness_seconds"), "95 % within 5 min are promised."),
    Panel("Passages written", "per second", (Series("rate", "teal_ingest_passages_total"),), ""),
    Panel("Embedding", "cores", (Series("rate", "teal_ingest_embedding_seconds_total"),), "Almost all of ingestion's work."),
    Panel("Waits for a part", "number", (Series("highest", "teal_ingest_waiting"),), "1 while writing waits."),
    Panel("Jobs found without a holder", "per second", (Series("rate", "teal_ingest_rescued_total", ("how",)),), "After a crash some; always some is a fault."),
))  # fmt: skip

RELEASE: Final = Dashboard("release", "Release", (
    Panel("Processes", "number", (Series("total", "teal_build_info", ("color", "release")),), "Which release runs in which color."),
    Panel("Requests", "per second", (Series("rate", _REQUESTS, ("color",), _PEOPLE),), "The share that each color gets."),
    Panel("Errors", "share", (Series("ratio", _REQUESTS, ("color",), _FAILED, _REQUESTS, _PEOPLE),), "A release's first gate."),
    Panel("Time", "seconds", _quantiles(_SECONDS, "color", where=_PEOPLE), "Slower than 1 s is its second."),
    Panel("Found nothing", "share", (Series("ratio", "teal_retrieval_empty_total", ("color",), per="teal_retrievals_total"),), "The third."),
    Panel("429 of the model", "per second", (Series("rate", "teal_model_rate_limited_total", ("color",)),), "The fourth."),
    Panel("Broken streams", "share", (Series("ratio", "teal_streams_broken_total", ("color",), per="teal_streams_total"),), "The fifth."),
    Panel("Cache", "share", (Series("ratio", "teal_cache_lookups_total", ("color",), {"outcome": "hit.*"}, "teal_cache_lookups_total"),), "A new color begins cold."),
))  # fmt: skip

CAPACITY: Final = Dashboard("capacity", "Capacity and cost", (
    Panel("CPU", "cores", (Series("rate", "process_cpu_seconds_total", ("component", "color")),), ""),
    Panel("Memory", "bytes", (Series("total", "process_resident_memory_bytes", ("component", "color")),), ""),
    Panel("Open files", "number", (Series("highest", "process_open_fds", ("component", "color")),), ""),
    Panel("Free disk", "bytes", (Series("lowest", "teal_disk_free_bytes"),), "Of the processes' own data."),
    Panel("Database", "bytes", (Series("highest", "teal_database_bytes"),), ""),
    Panel("Database connections", "number", (Series("highest", "teal_postgres_connections", name="open"), Series("highest", "teal_postgres_connections_limit", name="limit")), ""),
    Panel("Long transactions", "seconds", (Series("highest", "teal_postgres_longest_transaction_seconds"),), "They hold locks and keep dead rows."),
    Panel("Slow statements", "number", (Series("highest", "teal_postgres_slow_statements"),), "Running for more than 1 s now."),
    Panel("Dead rows", "share", (Series("highest", "teal_postgres_dead_rows_share", ("table",)),), "Bloat: 0.2 is where autovacuum acts."),
    Panel("Redis memory", "bytes", (Series("highest", "teal_redis_memory_bytes", name="used"), Series("highest", "teal_redis_memory_limit_bytes", name="limit")), ""),
    Panel("Redis", "per second", (Series("rate", "teal_redis_lookups_total", ("outcome",)), Series("rate", "teal_redis_evicted_keys_total", name="evicted")), ""),
    Panel("What models bill", "per second", (Series("rate", "teal_model_tokens_total", ("kind",), name="tokens"),), "Prices: `teal cost`."),
    Panel("Pods", "number", (Series("query", 'sum by (namespace) (kube_pod_status_phase{phase="Running",namespace=~"teal.*"})', ("namespace",)),), "What the cluster bills."),
))  # fmt: skip


def _asked(promql: str, *by: str, name: str = "") -> Series:
    return Series("query", promql, by, name=name)


# Locust exposes the metrics that begin with load_ (loadtests/page.py). The service's lines share their graphs, so that
# cause and effect have the same time axis.
LOAD: Final = Dashboard("load", "Load test over the service", (
    Panel("Users, and open streams", "number", (_asked("sum(load_users)", name="users"), _asked("sum(load_streams)", name="streams sent"), _asked("sum(teal_open_streams)", name="streams served")), "What the load test keeps open, and what the service has open."),
    Panel("Sent and served", "per second", (_asked("sum(rate(load_requests_total[1m]))", name="sent"), _asked('sum(rate(teal_http_requests_total{route=~"/v1/.*"}[1m]))', name="served")), "Apart: requests wait, or others ask as well."),
    Panel("Goodput", "per second", (_asked("sum(rate(load_good_answers_total[1m]))", name="within every limit"), _asked("sum(rate(load_failures_total[1m]))", name="failed")), "Falls while what is sent grows: the knee."),
    Panel("Latency, outside and inside", "seconds", (_asked('max by (name) (load_latency_seconds{quantile="0.95"})', "name", name="met by users"), _asked('histogram_quantile(0.95, sum by (le) (rate(teal_http_request_seconds_bucket{route="/v1/search"}[1m])))', name="search, inside")), "The difference is the network, the load balancer and queues."),
    Panel("CPU", "cores", (_asked("sum by (component) (rate(process_cpu_seconds_total[1m]))", "component"), _asked("max(load_generator_cpu_ratio)", name="generator, busiest process")), "Above 0.9 of a core the generator itself is the limit."),
    Panel("Lateness", "seconds", (_asked("max(load_generator_late_seconds)", name="generator"), _asked("histogram_quantile(0.99, sum by (le) (rate(teal_event_loop_lag_seconds_bucket[1m])))", name="service")), "Above 50 ms a generator's stage is void."),
))  # fmt: skip

DASHBOARDS: Final = (SERVICE, RETRIEVAL, SEARCH, INGEST, RELEASE, CAPACITY, LOAD)
