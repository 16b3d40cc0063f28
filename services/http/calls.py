"""What a typed route is given: the service, the request and its caller, who has the scope that the route asks for."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Security
from fastapi.security import SecurityScopes
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from services.http.commands import RenderDone, carry_out, subscription_reply
from services.http.decoding import refuse_query
from services.http.documentation.signatures import takes_query
from services.http.server.exchange import Exchange, exchange_of
from services.http.service import Service
from services.keys import Key
from services.ledger.submission import AnyCommand


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request to a typed route."""

    service: Service
    exchange: Exchange
    key: Key

    def carry_out(
        self,
        subscription_id: UUID,
        command: AnyCommand,
        wanted: Struct,
        *,
        expected_version: int | None = None,
        render: RenderDone = subscription_reply,
    ) -> Response:
        """Put a command and wait for its answer. Raises Problem, LaneClosed, LaneFull."""
        ledger = self.service.backend.ledger
        reply = carry_out(
            ledger,
            subscription_id,
            command,
            wanted,
            self.exchange,
            self.key,
            expected_version=expected_version,
            render=render,
        )
        return reply.response()


async def authenticated(request: Request, wanted: SecurityScopes) -> Call:
    """The call, if its key has the scope. Raises Problem; also for a query where the route knows none."""
    service, exchange = service_of(request), exchange_of(request.scope)
    (scope,) = wanted.scopes
    key = await service.authenticator.caller(exchange, scope)
    if not takes_query(request.scope["endpoint"]):
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
