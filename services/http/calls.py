"""The first argument of a handler: the service, the request, and a caller who has the scope that the route requires."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Any, TypeVar, assert_never
from uuid import UUID

from fastapi import Security
from fastapi.security import SecurityScopes
from msgspec import Struct
from psycopg import Connection
from starlette.requests import Request

from projections.renewal.queries import RenewalQueries
from services.http.confinement import Confinement
from services.http.decoding import refuse_query
from services.http.parameters import subscription_id_of
from services.http.problems import KeyConfined, Problem, require
from services.http.routing import signature_of
from services.http.server.exchange import Exchange, exchange_of
from services.http.service import Service
from services.keys import Key
from services.ledger.records import Metadata
from services.subscription.refusals import Refusal, UnknownSubscription

Q = TypeVar("Q")


class Call(Struct, frozen=True):
    """One authenticated request."""

    service: Service
    exchange: Exchange
    key: Key
    agent: str | None = None
    """The name of the person at the console, where the call is made there."""

    @property
    def metadata(self) -> Metadata:
        """The key, the request and the agent, which are recorded with every event of the call."""
        return Metadata(self.key.key_id, self.exchange.request_id, self.agent)

    def connection(self) -> AbstractContextManager[Connection[Any]]:
        """Borrow a connection for queries, in autocommit mode; there are few, for long reads. Raises psycopg.Error."""
        return self.service.backend.long_reads.connection()

    def queries(self, kind: Callable[[str], Q]) -> Q:
        """Return the queries of a kind, such as `History`, on the ledger's schema."""
        queries: Q = self.service.queries(kind)
        return queries

    async def check_confinement(self, subscription_id: UUID) -> None:
        """Raise Problem where the key is confined and this is none of its subscriptions, or psycopg.Error."""
        await self.service.confinements.check(self.key, subscription_id)

    def check_confinement_now(self, subscription_id: UUID, refusal: Refusal | None = None) -> None:
        """The same, with another refusal if one is given. For threads."""
        self.service.confinements.check_now(self.key, subscription_id, refusal or UnknownSubscription())

    def own_subscriptions(self, connection: Connection[Any]) -> Sequence[UUID] | None:
        """List the subscriptions to which the key is confined as of now; None for all. Raises psycopg.Error."""
        return self.service.confinements.subscriptions(self.key, connection)

    def check_known(self, connection: Connection[Any], subscription_id: UUID) -> None:
        """Raise Problem where there is no such subscription."""
        require(self.queries(RenewalQueries).find(connection, subscription_id), UnknownSubscription())


async def authenticated(request: Request, security: SecurityScopes) -> Call:
    """Make the call of a request to a typed route. Raises Problem, also for a query where the route takes none."""
    service, exchange = service_of(request), exchange_of(request.scope)
    (scope,) = security.scopes
    key = await service.authenticator.caller(exchange, scope)
    signature = signature_of(request.scope["endpoint"])
    if signature.query is None:
        refuse_query(exchange)
    call = Call(service, exchange, key)
    if key.is_confined:
        await confine(call, signature.confinement, request.path_params.get("subscription_id"))
    return call


async def confine(call: Call, confinement: Confinement | None, subscription_id: str | None) -> None:
    """Refuse a confined key what is not its own, by the rule of the route; the subscription is that in its path.

    Raises Problem, psycopg.Error.
    """
    match confinement:
        case Confinement.BY_HANDLER | Confinement.FOR_ALL:
            pass
        case None if subscription_id is not None:
            await call.check_confinement(subscription_id_of(subscription_id))
        case None:
            raise Problem(KeyConfined())
        case _:
            assert_never(confinement)


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
