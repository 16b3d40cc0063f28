"""The measures of `make bench`, each by its name. Every round runs the two sides one right after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial

from tests.bench.figures import Goal, Measurement
from tests.bench.grown import (
    BOOKS,
    read_as_of,
    read_books,
    rebuild_all,
    schema_bytes,
    some_subscriptions,
    stored_charges,
)
from tests.bench.load import (
    SUBSCRIPTIONS,
    Run,
    Unsound,
    create_sql_ledger,
    in_process,
    pgbench,
    start_subscriptions,
    subscription_id,
    wrk,
)
from tests.bench.stand import Service, Stand, running_noop, running_service

P7_EVENTS = 10_000_000
"""The size of the ledger for which P7 has a goal."""

BATCH_SIZE = 100
"""The charges of one batch request."""


@dataclass(frozen=True)
class Pace:
    """The length and the number of rounds, and the sizes of ledgers."""

    rounds: int
    seconds: float
    charges_in_process: int
    charges_on_disk: int
    grown_events: int
    sizes: tuple[int, ...]
    few_events: int
    many_events: int


QUICK = Pace(
    rounds=1,
    seconds=3,
    charges_in_process=40_000,
    charges_on_disk=40_000,
    grown_events=50_000,
    sizes=(1_000, 20_000),
    few_events=500,
    many_events=5_000,
)
FULL = Pace(
    rounds=5,
    seconds=10,
    charges_in_process=200_000,
    charges_on_disk=200_000,
    grown_events=1_000_000,
    sizes=(10_000, 1_000_000, 10_000_000),
    few_events=1_000,
    many_events=100_000,
)


class Bench:
    """Both sides on one server. What several measures share is made by the first of them."""

    def __init__(self, stand: Stand, pace: Pace, parts: ExitStack) -> None:
        self.stand = stand
        self.pace = pace
        self._parts = parts

    @cached_property
    def sql_ledger(self) -> str:
        """The URL of the SQL ledger's database."""
        url = self.stand.database("sql_ledger")
        create_sql_ledger(url)
        return url

    @cached_property
    def small(self) -> Service:
        """The service on a ledger that has the benchmark's subscriptions, and the charges of earlier measures."""
        return self._serve("service", events=0)

    @cached_property
    def grown(self) -> Service:
        """The service on a ledger that had many events at the start."""
        return self._serve("grown", events=self.pace.grown_events)

    def _serve(self, name: str, events: int) -> Service:
        service = self._parts.enter_context(running_service(self.stand, self.stand.database(name), events=events))
        start_subscriptions(service.database_url)
        return service

    @cached_property
    def noop(self) -> str:
        """The URL of the no-op app."""
        return self._parts.enter_context(running_noop(self.stand))

    def noop_reads(self) -> Run:
        """Run the load on the no-op app."""
        return wrk(self.stand, self.noop, "noop", connections=64, seconds=self.pace.seconds)

    def sql(self, script: str = "charge.pgbench", *, clients: int = 32, mode: str = "simple") -> Run:
        """Run the load on the SQL ledger."""
        return pgbench(
            self.stand,
            self.sql_ledger,
            script,
            seconds=self.pace.seconds,
            clients=clients,
            mode=mode,
            with_median=clients == 1,
        )

    def http(
        self,
        what: str,
        *,
        connections: int,
        subscriptions: int = SUBSCRIPTIONS,
        batch_size: int = 1,
        service: Service | None = None,
    ) -> Run:
        """Run the load on a service. Raises Unsound unless every charge that was answered is stored."""
        service = service or self.small
        before = stored_charges(service.database_url) if what != "balance" else 0
        run = wrk(
            self.stand,
            service.url,
            what,
            connections=connections,
            seconds=self.pace.seconds,
            key=service.key,
            service=service,
            subscriptions=subscriptions,
            batch_size=batch_size,
        )
        if what != "balance":
            stored = stored_charges(service.database_url) - before
            if stored < run.count:  # more than were counted may be: those under way when the time was up
                raise Unsound(f"{run.count} charges were answered, and {stored} are stored")
        return run

    def pairs(self, ours: Callable[[], Run], theirs: Callable[[], Run]) -> tuple[list[Run], list[Run]]:
        """Run both sides in each round; every other round begins with the other side."""
        mine, others = [], []
        for number in range(self.pace.rounds):
            if number % 2:
                others.append(theirs())
                mine.append(ours())
            else:
                mine.append(ours())
                others.append(theirs())
        return mine, others


def charges_over_http(bench: Bench) -> Iterator[Measurement]:
    """Single charges, durable, with every read model; and the CPU time that each takes."""
    bench.http("charge", connections=64)  # the first seconds of a process are not like the rest
    for connections, bound in ((64, 1.0), (256, 1.25)):
        ours, theirs = bench.pairs(partial(bench.http, "charge", connections=connections), bench.sql)
        where = f"over HTTP, {connections} connections"
        yield _rates("P1", f"charges {where}", Goal(bound, "at least"), ours, theirs)
        cpu = [run.cpu_microseconds for run in ours], [run.cpu_microseconds for run in theirs]
        yield Measurement("P11", f"CPU of a charge {where}", Goal(2, "at most"), *cpu, unit="µs")


def batches_over_http(bench: Bench) -> Iterator[Measurement]:
    """Charges in requests of a hundred."""
    ours, theirs = bench.pairs(partial(bench.http, "batch", connections=16, batch_size=BATCH_SIZE), bench.sql)
    yield _rates("P2", f"charges over HTTP, {BATCH_SIZE} a request", Goal(4, "at least"), ours, theirs)


def charges_in_process(bench: Bench) -> Iterator[Measurement]:
    """Charges through the writer lanes of as many processes as the service has, without HTTP."""
    processes = bench.stand.processes
    run = partial(
        in_process, bench.stand, bench.small.database_url, charges=bench.pace.charges_in_process, processes=processes
    )
    ours, theirs = bench.pairs(run, bench.sql)
    where = "one process" if processes == 1 else f"{processes} processes"
    yield _rates("P3", f"charges in {where}, no HTTP", Goal(5, "at least"), ours, theirs)


def balance_reads(bench: Bench) -> Iterator[Measurement]:
    """Balances over HTTP, against a no-op route of the framework on the same app server."""
    ours, theirs = bench.pairs(partial(bench.http, "balance", connections=64), bench.noop_reads)
    yield _rates("P4", "balance reads over HTTP, 64 connections", Goal(0.8, "at least"), ours, theirs)


def disk(bench: Bench) -> Iterator[Measurement]:
    """Bytes of every table and index of a charge, after VACUUM, in a ledger of its own."""
    with fresh_service(bench, "disk") as service:
        before = schema_bytes(service.database_url)
        run = in_process(bench.stand, service.database_url, charges=bench.pace.charges_on_disk, processes=1)
        after = schema_bytes(service.database_url)
    by_table = {name: (after[name] - before[name]) / run.count for name in after if after[name] > before[name]}
    each = sum(by_table.values())
    yield Measurement("P8", "disk of a charge", Goal(600, "at most", "bytes"), [each], unit="bytes", remarks=by_table)


def latency(bench: Bench) -> Iterator[Measurement]:
    """The median latency of a charge on one connection, against that of a transaction of one row."""
    ours, theirs = bench.pairs(
        partial(bench.http, "charge", connections=1), partial(bench.sql, "one_row.pgbench", clients=1)
    )
    p50 = [run.p50_ms for run in ours], [run.p50_ms for run in theirs]
    yield Measurement("P9", "p50 of a charge, 1 connection", Goal(3, "at most"), *p50, unit="ms")


def held_and_captured(bench: Bench) -> Iterator[Measurement]:
    """Pairs of a hold and its capture, against charges: each pair is two requests and two durable events."""
    charges = partial(bench.http, "charge", connections=64)
    ours, theirs = bench.pairs(partial(bench.http, "hold", connections=64), charges)
    pairs = [replace(run, per_second=run.per_second / 2, cpu_microseconds=run.cpu_microseconds * 2) for run in ours]
    yield _rates("P12", "holds and their captures, pairs, 64 connections", Goal(0.45, "at least"), pairs, theirs)


def hot_subscription(bench: Bench) -> Iterator[Measurement]:
    """Every charge on one subscription, against charges spread over all of them."""
    spread = partial(bench.http, "charge", connections=64)
    ours, theirs = bench.pairs(partial(spread, subscriptions=1), spread)
    yield _rates("P10", "charges of one subscription, 64 connections", Goal(0.8, "at least"), ours, theirs)


def rebuild(bench: Bench) -> Iterator[Measurement]:
    """Events a second of a rebuild of every read model, comparison included, against charges of the SQL ledger."""
    events = bench.pace.grown_events
    ours, theirs = bench.pairs(partial(rebuild_all, bench.grown), bench.sql)
    yield _rates("P5", f"rebuild of every read model from {events:,} events", Goal(15, "at least"), ours, theirs)


def as_of(bench: Bench) -> Iterator[Measurement]:
    """The p99 of as-of at random instants, of a subscription with many events against one with few."""
    few, many = (subscription_id(number) for number in (1, 2))
    with fresh_service(bench, "as_of") as service:
        for number, events in ((1, bench.pace.few_events), (2, bench.pace.many_events)):
            in_process(bench.stand, service.database_url, charges=events, processes=1, only=number)
        ours, theirs = bench.pairs(partial(read_as_of, service, many), partial(read_as_of, service, few))
    p99 = [run.p99_ms for run in ours], [run.p99_ms for run in theirs]
    what = f"p99 of as-of, {bench.pace.many_events:,} events against {bench.pace.few_events:,}"
    yield Measurement("P6", what, Goal(5, "at most"), *p99, unit="ms")


def books(bench: Bench) -> Iterator[Measurement]:
    """The median of reads of the books, of a subscription that had all its charges in one cycle."""
    charges, id = bench.pace.many_events, subscription_id(1)
    with fresh_service(bench, "books") as service:
        in_process(bench.stand, service.database_url, charges=charges, processes=1, only=1)
        rebuild_all(service)
        for what, (path, accept) in BOOKS.items():
            runs = [read_books(service, id, path, accept) for _ in range(bench.pace.rounds)]
            goal = Goal(100, "at most", "ms")
            p50 = [run.p50_ms for run in runs]
            yield Measurement("BOOKS", f"p50 of {what}, {charges:,} charges in one cycle", goal, p50, unit="ms")


def growth(bench: Bench) -> Iterator[Measurement]:
    """Charges and balance reads on a ledger that has grown, against one that has not."""
    sizes = f"{bench.pace.grown_events:,} events stored, 64 connections"
    goal = Goal(0.9, "at least") if bench.pace.grown_events >= P7_EVENTS else None
    for what, title in (("charge", "charges"), ("balance", "balance reads")):
        run = partial(bench.http, what, connections=64)
        run(service=bench.grown)
        ours, theirs = bench.pairs(partial(run, service=bench.grown), run)
        measurement = _rates("P7", f"{title}, {sizes}", goal, ours, theirs)
        memory = {"ours": bench.grown.memory_bytes(), "theirs": bench.small.memory_bytes()}
        yield replace(measurement, remarks={**measurement.remarks, "memory_bytes": memory})


def sizes(bench: Bench) -> Iterator[Measurement]:
    """Speed, latency and memory by the size of the ledger, each beside something that does not grow."""
    for events in bench.pace.sizes:
        with fresh_service(bench, f"of_{events}", events=events) as service:
            size = f"{events:,} events"
            for what, others in (("charge", bench.sql), ("balance", bench.noop_reads)):
                run = partial(bench.http, what, connections=64, service=service)
                run()
                yield _rates("SIZES", f"{what}s over HTTP, {size}", None, *bench.pairs(run, others))
            yield _rates("SIZES", f"rebuild, {size}", None, *bench.pairs(partial(rebuild_all, service), bench.sql))
            ids = some_subscriptions(service, 20)
            p99 = sorted(read_as_of(service, id, requests=30).p99_ms for id in ids)
            yield Measurement("SIZES", f"p99 of as-of, {size}", None, p99, unit="ms")
            memory = service.memory_bytes() / 2**20
            yield Measurement("SIZES", f"memory of the service, {size}", None, [memory], unit="MiB")


@contextmanager
def fresh_service(bench: Bench, name: str, *, events: int = 0) -> Iterator[Service]:
    """A service on a ledger that is dropped afterwards."""
    with running_service(bench.stand, bench.stand.database(name), events=events) as service:
        start_subscriptions(service.database_url)
        yield service
    bench.stand.drop(name)


MEASURES: Mapping[str, Callable[[Bench], Iterator[Measurement]]] = {
    "P1": charges_over_http,
    "P2": batches_over_http,
    "P3": charges_in_process,
    "P4": balance_reads,
    "P5": rebuild,
    "P6": as_of,
    "P7": growth,
    "P8": disk,
    "P9": latency,
    "P10": hot_subscription,
    "P11": charges_over_http,
    "P12": held_and_captured,
    "BOOKS": books,
    "SIZES": sizes,
}


def _rates(measure: str, what: str, goal: Goal | None, ours: Sequence[Run], theirs: Sequence[Run]) -> Measurement:
    return Measurement(
        measure,
        what,
        goal,
        [run.per_second for run in ours],
        [run.per_second for run in theirs],
        remarks={
            "cpu_microseconds": [run.cpu_microseconds for run in ours],
            "postgres_cpu_microseconds": [run.postgres_cpu_microseconds for run in ours],
            "p50_ms": [run.p50_ms for run in ours],
            "p99_ms": [run.p99_ms for run in ours],
        },
    )
