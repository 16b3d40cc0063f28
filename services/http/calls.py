"""What a handler is called with: the service, the request and its caller, who has the scope that the route asks for."""

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
        """What is recorded with every event of the call: its key and its request."""
        return Metadata(self.key.key_id, self.exchange.request_id)

    def connection(self) -> AbstractContextManager[Connection[Any]]:
        """A connection for queries, in autocommit mode. Raises psycopg.Error."""
        return self.service.backend.reads.connection()

    def queries(self, kind: Callable[[str], Q]) -> Q:
        """The queries of the ledger's schema, by the class that has them."""
        queries: Q = self.service.queries(kind)
        return queries

    def check_known(self, connection: Connection[Any], subscription_id: UUID) -> None:
        """Raise Problem where there is no such subscription."""
        require(self.queries(RenewalQueries).find(connection, subscription_id), UnknownSubscription())


async def authenticated(request: Request, security: SecurityScopes) -> Call:
    """The call, if its key has the scope. Raises Problem; also for a query where the route knows none."""
    service, exchange = service_of(request), exchange_of(request.scope)
    (scope,) = security.scopes
    key = await service.authenticator.caller(exchange, scope)
    if signature_of(request.scope["endpoint"]).query is None:
        refuse_query(exchange)
    return Call(service, exchange, key)


def service_of(request: Request) -> Service:
    """The service that the app was made on."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


Reader = Annotated[Call, Security(authenticated, scopes=["read"])]
Charger = Annotated[Call, Security(authenticated, scopes=["charge"])]
Manager = Annotated[Call, Security(authenticated, scopes=["manage"])]
Auditor = Annotated[Call, Security(authenticated, scopes=["audit"])]
Disputer = Annotated[Call, Security(authenticated, scopes=["dispute"])]
