"""What every route works with, made once for an app."""

from dataclasses import dataclass

from services.http.authentication import Authenticator
from services.http.backend import Backend
from services.http.commands import Charging
from services.http.metrics import Metrics
from services.http.readiness import ReadinessCheck
from services.http.reads import Reads
from services.ledger.as_of import AsOf


@dataclass(frozen=True, slots=True)
class Service:
    """The backend, and what the HTTP layer makes of it."""

    backend: Backend
    reads: Reads
    authenticator: Authenticator
    charging: Charging
    metrics: Metrics
    readiness: ReadinessCheck
    as_of: AsOf

    @staticmethod
    def on(backend: Backend) -> "Service":
        """The service on a backend."""
        return Service(
            backend=backend,
            reads=Reads(backend),
            authenticator=Authenticator(backend.keys),
            charging=Charging(backend.ledger),
            metrics=Metrics(backend.ledger),
            readiness=ReadinessCheck(backend),
            as_of=AsOf(backend.ledger.application, backend.schema, backend.clock),
        )
