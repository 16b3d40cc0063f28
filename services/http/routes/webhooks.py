"""Webhooks: endpoints, their secrets, what was delivered to them, and delivering again."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends
from msgspec import Meta, Struct
from msgspec.structs import replace

from projections.declaration import MAX_POSITION
from services.http.calls import Call, Manager
from services.http.decoding import JsonBody, QueryOf
from services.http.documentation import examples
from services.http.documentation.operations import Shown, documented
from services.http.idempotency import answer_once
from services.http.paging import AtSubscription, Count, Page, Paging
from services.http.parameters import WebhookId
from services.http.problems import UnknownWebhook, invalid, require
from services.http.routing import TypedRoute
from services.http.server.reply import Reply, encode, json_reply
from services.webhooks.addresses import fault_of_url
from services.webhooks.deliveries import Before, Deliveries, Delivery
from services.webhooks.messages import TEST, TYPES, Place, notice_id_of
from services.webhooks.signing import new_secret
from services.webhooks.store import Endpoint, WebhookStore

router = APIRouter(tags=["Webhooks"], route_class=TypedRoute)

OVERLAP_SECONDS = 86_400
OVERLAP_SECONDS_MAX = 30 * 86_400

if TYPE_CHECKING:
    MessageType = str
else:
    MessageType = Literal[TYPES]


class WebhookRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An endpoint to make: where messages go, and of which types."""

    url: Annotated[str, Meta(max_length=2_000, description="https:// or http://, and globally reachable.")]
    types: Annotated[list[MessageType], Meta(min_length=1, max_length=len(TYPES), description="Each once.")]
    description: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z", max_length=500)] | None = None


class RotateRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How long the secret before signs as well."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=OVERLAP_SECONDS_MAX)] = OVERLAP_SECONDS


class ReplayRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to begin."""

    after_position: Annotated[Count, Meta(description="Messages of events above this position are delivered again.")]


class NoFields(Struct, frozen=True, forbid_unknown_fields=True):
    """No fields."""


class WebhookView(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An endpoint. Messages up to `position` are delivered, or stand in the list of deliveries as they are.

    `disabled`: it took nothing for a day, and was switched off at `disabled_at`; a replay switches it on. `secret` is
    shown when it is made, and never again.
    """

    webhook_id: UUID
    url: str
    types: list[str]
    description: str | None = None
    status: Literal["enabled", "disabled"]
    created_at: datetime
    position: int
    failing_since: datetime | None = None
    disabled_at: datetime | None = None
    secret: str | None = None

    @staticmethod
    def of(endpoint: Endpoint, secret: str | None = None) -> "WebhookView":
        """Make the public form of an endpoint."""
        return WebhookView(
            webhook_id=endpoint.webhook_id,
            url=endpoint.url,
            types=endpoint.types,
            description=endpoint.description,
            status="enabled" if endpoint.disabled_at is None else "disabled",
            created_at=endpoint.created_at,
            position=endpoint.position,
            failing_since=endpoint.failing_since,
            disabled_at=endpoint.disabled_at,
            secret=secret,
        )


class TestSent(Struct, frozen=True):
    """The message of a test, which is under way."""

    __test__: ClassVar[bool] = False
    message_id: str


class AtDelivery(Struct, frozen=True, array_like=True, tag=True):
    """A place in the list of deliveries."""

    position: Count
    ordinal: Count
    notice_id: Count


EXAMPLE = WebhookView(
    webhook_id=UUID("6a1f0e52-7c3b-4d8e-9f10-2b3c4d5e6f70"),
    url="https://billing.example.com/hooks/tallystick",
    types=["generation-charged", "balance-low"],
    description="The billing system",
    status="enabled",
    created_at=examples.EVENT.recorded_at,
    position=1_874,
)
_WITH_SECRET = replace(EXAMPLE, secret="whsec_bm90IGEgc2VjcmV0OiBvbmx5IGFuIGV4YW1wbGUgISE=")  # noqa: S106
DELIVERY = Delivery(
    "6a1f0e527c3b4d8e9f102b3c4d5e6f70-1874", "generation-charged", 1_874, "delivered", 1, 200, None, None
)


@router.post(
    "/v1/webhooks",
    openapi_extra=documented(
        {201: Shown(_WITH_SECRET, headers=("Location",))},
        request=WebhookRequest(EXAMPLE.url, EXAMPLE.types, EXAMPLE.description),
    ),
)
def create_webhook(
    call: Manager, body: Annotated[WebhookRequest, Depends(JsonBody(WebhookRequest))]
) -> Reply[WebhookView]:
    """Make an endpoint, which is sent what is recorded from now on. The answer has the secret, this once.

    Messages are signed by the rules of [Standard Webhooks](https://www.standardwebhooks.com). They come at least once
    and, for each subscription, in order. An answer of 2xx within 10 seconds takes a message; redirects are not
    followed. A message that is not taken is tried again over three days, and holds up its own subscription alone.
    """
    if len(set(body.types)) < len(body.types):
        raise invalid("types", "must have each type once")
    if fault := fault_of_url(body.url, allow_private=call.service.backend.webhooks_allow_private):
        raise invalid("url", fault)

    def create() -> Reply[WebhookView]:
        secret = new_secret()
        with call.connection() as connection:
            endpoint = call.queries(WebhookStore).insert(
                connection,
                webhook_id=uuid4(),
                url=body.url,
                types=body.types,
                description=body.description,
                created_at=call.service.backend.clock(),
                secret=secret,
            )
        location = f"/v1/webhooks/{endpoint.webhook_id}"
        return json_reply(WebhookView.of(endpoint, secret), 201, {"location": location})

    return answer_once(call, body, create)


class WebhookListQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No filters."""


@router.get("/v1/webhooks", openapi_extra=documented({200: examples.page_of(EXAMPLE)}))
def list_webhooks(
    call: Manager, query: Annotated[WebhookListQuery, Depends(QueryOf(WebhookListQuery))]
) -> Page[WebhookView]:
    """List endpoints."""
    after = query.place(AtSubscription, AtSubscription(UUID(int=0))).subscription_id
    with call.connection() as connection:
        endpoints = call.queries(WebhookStore).endpoints(connection, after, query.one_more)
    return query.page([*map(WebhookView.of, endpoints)], lambda last: AtSubscription(last.webhook_id))


@router.get("/v1/webhooks/{webhook_id}", openapi_extra=documented({200: EXAMPLE}, missing=(UnknownWebhook,)))
def get_webhook(call: Manager, webhook_id: WebhookId) -> WebhookView:
    """Show an endpoint, without its secret."""
    return WebhookView.of(_endpoint(call, webhook_id))


@router.delete(
    "/v1/webhooks/{webhook_id}", status_code=204, openapi_extra=documented({204: None}, missing=(UnknownWebhook,))
)
def delete_webhook(call: Manager, webhook_id: WebhookId) -> Reply[None]:
    """Delete an endpoint. A message that is under way may still arrive."""
    with call.connection() as connection:
        was_there = call.queries(WebhookStore).delete(connection, webhook_id)
    require(was_there or None, UnknownWebhook())
    return Reply(204, b"")


@router.post(
    "/v1/webhooks/{webhook_id}/rotate",
    openapi_extra=documented({200: _WITH_SECRET}, missing=(UnknownWebhook,), request=RotateRequest()),
)
def rotate_webhook_secret(
    call: Manager,
    webhook_id: WebhookId,
    body: Annotated[RotateRequest, Depends(JsonBody(RotateRequest, may_be_empty=True))],
) -> Reply[WebhookView]:
    """Give an endpoint a new secret, which the answer has, this once. The one before signs as well for a while."""

    def rotate() -> Reply[WebhookView]:
        secret, until = new_secret(), call.service.backend.clock() + timedelta(seconds=body.overlap_seconds)
        with call.connection() as connection:
            endpoint = call.queries(WebhookStore).rotate(connection, webhook_id, secret, until)
        return json_reply(WebhookView.of(require(endpoint, UnknownWebhook()), secret))

    return answer_once(call, body, rotate)


@router.post(
    "/v1/webhooks/{webhook_id}/test",
    openapi_extra=documented(
        {202: TestSent("6a1f0e527c3b4d8e9f102b3c4d5e6f70-n7")}, missing=(UnknownWebhook,), request=NoFields()
    ),
)
def test_webhook(
    call: Manager, webhook_id: WebhookId, body: Annotated[NoFields, Depends(JsonBody(NoFields, may_be_empty=True))]
) -> Reply[TestSent]:
    """Send a message of the type `webhook-test`; the list of deliveries says whether it was taken."""

    def send() -> Reply[TestSent]:
        _endpoint(call, webhook_id)
        data = encode({"webhook_id": webhook_id}).decode()
        with call.connection() as connection:
            store, now = call.queries(WebhookStore), call.service.backend.clock()
            number = store.add_notice(connection, webhook_id, TEST, now, data)
        return json_reply(TestSent(notice_id_of(webhook_id, number)), 202)

    return answer_once(call, body, send)


class DeliveryQuery(Paging, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """No filters."""


@router.get(
    "/v1/webhooks/{webhook_id}/deliveries",
    openapi_extra=documented({200: examples.page_of(DELIVERY)}, missing=(UnknownWebhook,)),
)
def list_deliveries(
    call: Manager, webhook_id: WebhookId, query: Annotated[DeliveryQuery, Depends(QueryOf(DeliveryQuery))]
) -> Page[Delivery]:
    """List the messages of an endpoint and where each stands, newest first.

    An endpoint of types that are rare is listed in parts: a page may be short while there is a `next_cursor`.
    """
    at = query.place(AtDelivery, AtDelivery(MAX_POSITION, 0, MAX_POSITION))
    endpoint, before = _endpoint(call, webhook_id), Before(Place(at.position, at.ordinal), at.notice_id)
    with call.connection() as connection:
        deliveries, rest = call.queries(Deliveries).part(
            connection, endpoint, before, query.limit, call.service.backend.clock()
        )
    if rest is None:
        return Page(deliveries, None)
    return query.part(deliveries, AtDelivery(rest.place.position, rest.place.ordinal, rest.notice_id))


@router.post(
    "/v1/webhooks/{webhook_id}/replay",
    openapi_extra=documented({202: EXAMPLE}, missing=(UnknownWebhook,), request=ReplayRequest(1_800)),
)
def replay_webhook(
    call: Manager, webhook_id: WebhookId, body: Annotated[ReplayRequest, Depends(JsonBody(ReplayRequest))]
) -> Reply[WebhookView]:
    """Deliver again what comes behind a position, parked messages included, and switch the endpoint on.

    Messages have the ids that they had. A position beyond that of the endpoint changes nothing of what is delivered.
    """

    def replay() -> Reply[WebhookView]:
        _endpoint(call, webhook_id)
        with call.connection() as connection:
            store, now = call.queries(WebhookStore), call.service.backend.clock()
            store.rewind(connection, webhook_id, body.after_position, now)
        return json_reply(WebhookView.of(_endpoint(call, webhook_id)), 202)

    return answer_once(call, body, replay)


def _endpoint(call: Call, webhook_id: UUID) -> Endpoint:
    """Find an endpoint. Raises Problem."""
    with call.connection() as connection:
        return require(call.queries(WebhookStore).find(connection, webhook_id), UnknownWebhook())
