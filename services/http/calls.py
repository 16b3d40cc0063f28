"""The first argument of a handler: the service, the request, and a caller who has the scope that the route requires."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Security
from fastapi.security import SecurityScopes
from msgspec import Struct
from psycopg import Connection
from starlette.requests import Request

from projections.renewal.queries import RenewalQueries
from services.http.decoding import refuse_query
from services.http.problems import require
from services.http.routing import signature_of
from services.http.server.exchange import Exchange, exchange_of
from services.http.service import Service
from services.keys import Key
from services.ledger.records import Metadata
from services.subscription.refusals import UnknownSubscription

Q = TypeVar("Q")


class Call(Struct, frozen=True):
    """One authenticated request."""

    service: Service
    exchange: Exchange
    key: Key

    @property
    def metadata(self) -> Metadata:
        """The key and the request, which are recorded with every event of the call."""
        return Metadata(self.key.key_id, self.exchange.request_id)

    def connection(self) -> AbstractContextManager[Connection[Any]]:
        """Borrow a connection for queries, in autocommit mode; there are few, for long reads. Raises psycopg.Error."""
        return self.service.backend.long_reads.connection()

    def queries(self, kind: Callable[[str], Q]) -> Q:
        """Return the queries of a kind, such as `History`, on the ledger's schema."""
        queries: Q = self.service.queries(kind)
        return queries

    def check_known(self, connection: Connection[Any], subscription_id: UUID) -> None:
        """Raise Problem where there is no such subscription."""
        require(self.queries(RenewalQueries).find(connection, subscription_id), UnknownSubscription())


async def authenticated(request: Request, security: SecurityScopes) -> Call:
    """Make the call of a request to a typed route. Raises Problem, also for a query where the route takes none."""
    service, exchange = service_of(request), exchange_of(request.scope)
    (scope,) = security.scopes
    key = await service.authenticator.caller(exchange, scope)
    if signature_of(request.scope["endpoint"]).query is None:
        refuse_query(exchange)
    return Call(service, exchange, key)


def service_of(request: Request) -> Service:
    """Return the service that the app was made on."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


Reader = Annotated[Call, Security(authenticated, scopes=["read"])]
Charger = Annotated[Call, Security(authenticated, scopes=["charge"])]
Manager = Annotated[Call, Security(authenticated, scopes=["manage"])]
Auditor = Annotated[Call, Security(authenticated, scopes=["audit"])]
Disputer = Annotated[Call, Security(authenticated, scopes=["dispute"])]
