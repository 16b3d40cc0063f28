"""The service that every handler works with, made once for an app."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from projections.renewal.lag import LagCollector
from services.clocks import Clocks
from services.evidence.gathering import Evidence
from services.http.authentication import Authenticator
from services.http.backend import Backend
from services.http.confinement import Confinements
from services.http.database_metrics import DatabaseCollector
from services.http.feed import Feed
from services.http.freshness import Shared
from services.http.metrics import Metrics
from services.http.readiness import Readiness, ReadinessCheck
from services.http.reads import Reads
from services.http.refused_states import RefusedStates
from services.http.request_log import RequestLog
from services.http.server.shared_reads import SharedBalanceReads
from services.idempotency import IdempotencyRecords
from services.integrity.sealing.status import LogCollector, LogStatuses
from services.ledger.as_of import AsOf
from services.ledger.gate import AsyncGate
from services.ledger.history import History
from services.ledger.statements import Statements
from services.ledger.what_if import WhatIf


@dataclass(slots=True)
class Stop:
    """The stop of the process: it is announced before the process ends."""

    is_announced: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """The backend, and all that the HTTP layer makes of it."""

    backend: Backend
    reads: Reads
    balances: SharedBalanceReads
    authenticator: Authenticator
    confinements: Confinements
    refused_states: RefusedStates
    gate: AsyncGate
    metrics: Metrics
    request_log: RequestLog
    exposition: Shared[bytes]
    readiness: Shared[Readiness]
    stop: Stop
    as_of: AsOf
    what_if: WhatIf
    statements: Statements
    replays: asyncio.Semaphore
    """One replay computes at a time: more would take each other's time, and that of payments."""
    evidence: Evidence
    feed: Feed
    clocks: Clocks
    idempotency_records: IdempotencyRecords
    queries: Callable[[Callable[[str], Any]], Any]
    """Queries of the ledger's schema by their class, such as `History`; each is made once."""

    @staticmethod
    def on(backend: Backend) -> "Service":
        """Make the service on a backend."""
        as_of = AsOf(backend.schema, backend.clock)
        confinements = Confinements(backend.reads, backend.schema)
        reads = Reads(backend, confinements)
        feed = Feed(backend.connect, backend.long_reads, backend.schema)
        log_statuses = LogStatuses(backend.schema, backend.clock, has_witnesses=backend.has_witnesses)
        metrics = Metrics(
            backend.ledger,
            feed,
            backend.metrics_folder,
            DatabaseCollector(backend.reads.connection, backend.schema),
            LagCollector(backend.reads.connection, backend.schema, backend.clock),
            LogCollector(backend.reads.connection, log_statuses),
        )
        return Service(
            backend=backend,
            reads=reads,
            balances=SharedBalanceReads(reads.balances),
            authenticator=Authenticator(backend.keys, metrics, backend.rate_limit),
            confinements=confinements,
            refused_states=RefusedStates(backend.reads, History(backend.schema)),
            gate=AsyncGate(backend.ledger.lane),
            metrics=metrics,
            request_log=RequestLog(backend.request_log_level),
            exposition=Shared(metrics.exposition),
            readiness=Shared(ReadinessCheck(backend, log_statuses).now),
            stop=Stop(),
            as_of=as_of,
            feed=feed,
            clocks=Clocks(backend.ledger.lane, backend.reads, backend.connect, backend.schema, backend.clock),
            replays=asyncio.Semaphore(1),
            what_if=WhatIf(as_of, backend.schema, backend.catalogue),
            statements=Statements(backend.schema, backend.clock),
            evidence=Evidence(backend.schema, backend.sealer, backend.logs, backend.clock),
            idempotency_records=IdempotencyRecords(backend.reads, backend.schema, backend.clock),
            queries=cache(lambda kind: kind(backend.schema)),
        )
