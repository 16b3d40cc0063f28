"""Turns refusals into RFC 9457 problems: a table has the status of each code, and a refusal's fields are members.

What only HTTP refuses, such as malformed JSON or a missing key, is a refusal of the same kind.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar

import psycopg
import structlog
from msgspec import Struct
from msgspec.structs import asdict
from starlette.requests import ClientDisconnect

from services.dispute.refusals import UnknownCharge as UnknownCharge
from services.http.server.reply import Reply, encode
from services.ledger.lane import LaneClosed, LaneFull
from services.ledger.submission import Failed
from services.subscription.refusals import InvalidSettingsRefused, InvalidValue, Refusal, UnknownSubscription

T = TypeVar("T")

log = structlog.get_logger()

STATUS: Mapping[str, int] = {
    "malformed_request": 400,
    "unauthenticated": 401,
    "insufficient_credits": 402,
    "missing_scope": 403,
    "key_confined": 403,
    "not_in_plan": 403,
    "subscription_suspended": 403,
    "not_found": 404,
    "unknown_subscription": 404,
    "unknown_charge": 404,
    "unknown_hold": 404,
    "unknown_dispute": 404,
    "no_checkpoint": 404,
    "unknown_webhook": 404,
    "unknown_cycle": 404,
    "not_sealed_yet": 404,
    "test_clocks_disabled": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "generation_id_conflict": 409,
    "subscription_exists": 409,
    "subscription_ended": 409,
    "not_an_upgrade": 409,
    "not_a_downgrade": 409,
    "nothing_scheduled": 409,
    "cycle_closed": 409,
    "hold_expired": 409,
    "hold_released": 409,
    "holds_outstanding": 409,
    "too_many_holds": 409,
    "dispute_closed": 409,
    "dispute_open": 409,
    "charge_already_reversed": 409,
    "version_mismatch": 412,
    "request_too_large": 413,
    "unsupported_encoding": 415,
    "invalid_request": 422,
    "unknown_model": 422,
    "unknown_plan": 422,
    "unknown_test_clock": 422,
    "invalid_settings": 422,
    "idempotency_key_reused": 422,
    "rate_limited": 429,
    "headers_too_large": 431,
    "internal_error": 500,
    "unavailable": 503,
}
"""The HTTP status of each code. The title of a problem is its code in words."""


class FieldError(Struct, frozen=True):
    """What is wrong with one field, header or parameter; a field within another is named `settings.count`."""

    field: str
    reason: str


class MalformedRequest(Refusal, frozen=True):
    """The request cannot be read."""

    code: ClassVar[str] = "malformed_request"
    reason: str


class InvalidRequest(Refusal, frozen=True):
    """The request does not have the form that is asked for."""

    code: ClassVar[str] = "invalid_request"
    errors: tuple[FieldError, ...]


class Unauthenticated(Refusal, frozen=True):
    """A valid API key is needed: `Authorization: Bearer <key>`."""

    code: ClassVar[str] = "unauthenticated"


class MistypedKey(Unauthenticated, frozen=True):
    """The API key is mistyped: its last six characters do not fit the rest."""


class MissingScope(Refusal, frozen=True):
    """The API key may not do this."""

    code: ClassVar[str] = "missing_scope"
    scope: str


class KeyConfined(Refusal, frozen=True):
    """The API key is confined to accounts or subscriptions, and this goes beyond them."""

    code: ClassVar[str] = "key_confined"


class NotFound(Refusal, frozen=True):
    """There is nothing at this address."""

    code: ClassVar[str] = "not_found"


class MethodNotAllowed(Refusal, frozen=True):
    """This address does not know this method."""

    code: ClassVar[str] = "method_not_allowed"


class NotStartedThen(UnknownSubscription, frozen=True):
    """There was no such subscription yet at that instant."""

    started_at: datetime


class UnknownWebhook(Refusal, frozen=True):
    """There is no such endpoint of webhooks."""

    code: ClassVar[str] = "unknown_webhook"


class UnknownCycle(Refusal, frozen=True):
    """The subscription has not begun such a cycle."""

    code: ClassVar[str] = "unknown_cycle"


class ClocksDisabled(Refusal, frozen=True):
    """Test clocks are not enabled here."""

    code: ClassVar[str] = "test_clocks_disabled"


class RequestTooLarge(Refusal, frozen=True):
    """The body is larger than is taken here."""

    code: ClassVar[str] = "request_too_large"
    limit_bytes: int


class UnsupportedEncoding(Refusal, frozen=True):
    """A body is taken as it is, without Content-Encoding."""

    code: ClassVar[str] = "unsupported_encoding"


class NoCheckpoint(Refusal, frozen=True):
    """There is no such checkpoint, or none yet."""

    code: ClassVar[str] = "no_checkpoint"


SEALING_SECONDS = 10
"""What `Retry-After` says of a checkpoint that is to come: as long as `TALLYSTICK_CHECKPOINT_SECONDS` by default."""


class NotSealedYet(Refusal, frozen=True):
    """No checkpoint covers this yet; one will in a moment."""

    code: ClassVar[str] = "not_sealed_yet"


class NotAcceptable(Refusal, frozen=True):
    """Nothing of what is offered here meets the request's Accept."""

    code: ClassVar[str] = "not_acceptable"
    offered: tuple[str, ...]


class RateLimited(Refusal, frozen=True):
    """The API key has used up its requests for now; `Retry-After` says when to ask again."""

    code: ClassVar[str] = "rate_limited"


class HeadersTooLarge(Refusal, frozen=True):
    """The request's head is larger than 32 KiB, or has more than 100 lines."""

    code: ClassVar[str] = "headers_too_large"


class Unavailable(Refusal, frozen=True):
    """The service cannot answer now; ask again."""

    code: ClassVar[str] = "unavailable"


class OutcomeUnknown(Unavailable, frozen=True):
    """The connection was lost while this was being recorded, and it may have happened; ask again to know."""


class InternalError(Refusal, frozen=True):
    """Something went wrong here; the request id helps to find it."""

    code: ClassVar[str] = "internal_error"


class RefusedOn(Struct, frozen=True):
    """What a 402 or 403 of a subscription was decided on."""

    version: int
    position: int
    balance_credits: int


class Problem(Exception):
    """A refusal on its way to the client, with the status of its code unless another is named."""

    def __init__(
        self,
        refusal: Refusal,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        refused_on: RefusedOn | None = None,
    ) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.refused_on = refused_on
        self.status = status or STATUS[refusal.code]
        self.headers = {**_headers(refusal), **(headers or {})}

    def without_frames(self) -> Self:
        """Forget where it was raised, and return it, to be kept beside what those frames hold."""
        self.__traceback__ = self.__context__ = None
        return self

    def body(self, request_id: str) -> dict[str, Any]:
        """Return all members of the problem."""
        return problem_body(self.refusal, self.status, request_id, self.refused_on)

    def reply(self, request_id: str) -> Reply[Any]:
        """Render the problem."""
        return Reply(self.status, encode(self.body(request_id)), self.headers, "application/problem+json")


def require(value: T | None, refusal: Refusal, *, status: int | None = None) -> T:
    """Return the value. Raises Problem with the refusal where it is None."""
    if value is None:
        raise Problem(refusal, status=status)
    return value


def problem_body(refusal: Refusal, status: int, request_id: str, refused_on: RefusedOn | None = None) -> dict[str, Any]:
    """Return all members of a problem."""
    return {
        "type": f"urn:tallystick:problem:{refusal.code}",
        "title": refusal.code.replace("_", " ").capitalize(),
        "status": status,
        "code": refusal.code,
        "detail": refusal.detail,
        "request_id": request_id,
        **members(refusal),
        **(asdict(refused_on) if refused_on is not None else {}),
    }


def members(refusal: Refusal) -> dict[str, Any]:
    """Return the members of a problem beyond the common ones."""
    if isinstance(refusal, InvalidValue):
        return {"errors": [FieldError(refusal.field, refusal.reason)]}
    if isinstance(refusal, InvalidSettingsRefused):
        return {**asdict(refusal), "errors": [FieldError(f"settings.{refusal.key}", refusal.reason)]}
    return asdict(refusal)


def problem_of(error: BaseException, request_id: str) -> Problem:
    """Make the problem for an exception; one that nobody foresaw is logged, and shows nothing of itself."""
    match error:
        case Problem():
            return error
        case ClientDisconnect():
            return Problem(MalformedRequest("the client went away before the body was complete"))
        case LaneFull() | LaneClosed() | psycopg.OperationalError() | psycopg.InterfaceError():
            log.warning("a request could not be answered", request_id=request_id, error=repr(error))
            return Problem(Unavailable())
        case _:
            log.error("a request met a defect", request_id=request_id, exc_info=error)
            return Problem(InternalError())


def problem_of_failure(failure: Failed, request_id: str) -> Problem:
    """Make the problem for a command that got no answer from the ledger."""
    if failure.may_have_happened:
        log.warning("the outcome of a command is unknown", request_id=request_id, error=repr(failure.error))
        return Problem(OutcomeUnknown())
    if isinstance(failure.error, psycopg.Error):
        log.warning("a command was given up", request_id=request_id, error=repr(failure.error))
        return Problem(Unavailable())
    return problem_of(failure.error, request_id)


def invalid(field: str, reason: str) -> Problem:
    """Make the problem for one field, header or parameter that is wrong."""
    return Problem(InvalidRequest((FieldError(field, reason),)))


def _headers(refusal: Refusal) -> dict[str, str]:
    match refusal:
        case Unauthenticated():
            return {"www-authenticate": "Bearer"}
        case Unavailable():
            return {"retry-after": "1"}
        case NotSealedYet():
            return {"retry-after": str(SEALING_SECONDS)}
        case _:
            return {}
