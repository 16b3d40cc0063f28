"""The queue of disputes, and the decision of one: a dry run first, then what is recorded."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from msgspec import UNSET, Struct
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from projections.declaration import MAX_POSITION
from projections.disputes.view import DisputeView
from services.dispute.decide import DisputedCharge, decide
from services.dispute.refusals import UnknownDispute
from services.http.audit_requests import ResolveDisputeRequest
from services.http.commands import execute
from services.http.console.pages import Visit, page, redirect
from services.http.console.subscriptions import decoded
from services.http.parameters import dispute_id_of
from services.http.problems import Problem, require
from services.http.routes.past import read_past
from services.http.routes.proofs import SinceQuery, get_evidence
from services.ledger.disputes import Disputes
from services.ledger.mapper import read_event
from services.ledger.recorder import Recorder
from services.subscription.events import GenerationCharged
from services.subscription.refusals import Refusal
from services.subscription.state import fold

SHOWN_MAX = 200


class DryRun(Struct, frozen=True):
    """What a decision would do to the balance, by the real rules."""

    credits: int
    balance_before: int
    balance_after: int


@page("/disputes")
def list_disputes(visit: Visit) -> Response:
    """Show open disputes, the oldest first, or those that were decided, the newest first."""
    visit.requires("dispute")
    status = visit.query.get("status", "open")
    chosen: Any = status if status in {"open", "upheld", "rejected"} else None
    with visit.call.connection() as connection:
        rows = visit.call.queries(Disputes).list(
            connection,
            subscription_id=None,
            status=chosen,
            before=MAX_POSITION,
            limit=SHOWN_MAX,
            within=visit.call.own_subscriptions(connection),
        )
    disputes = [dispute for _, dispute in rows]
    return visit.page(
        "disputes.html",
        disputes=[*reversed(disputes)] if chosen == "open" else disputes,
        chosen=status,
        now=visit.service.backend.clock(),
    )


@page("/disputes/{dispute_id}", "GET", "POST")
async def show_dispute(visit: Visit, dispute_id: str) -> Response:
    """Show a dispute; show what a decision would do; record it once it is confirmed."""
    visit.requires("dispute")
    dispute = await run_in_threadpool(_find, visit, dispute_id_of(dispute_id))
    if visit.request.method == "GET":
        return visit.page("dispute.html", dispute=dispute, dry_run=None, form={})
    body = _decision(visit.form)
    command = body.command(dispute.dispute_id, dispute.generation_id)
    if not visit.form.get("confirm"):
        dry_run = await run_in_threadpool(_dry_run, visit, dispute, command)
        return visit.page("dispute.html", dispute=dispute, dry_run=dry_run, form=visit.form)
    await execute(visit.call, dispute.subscription_id, command, body)
    return redirect(f"/console/disputes/{dispute.dispute_id}")


@page("/disputes/{dispute_id}/evidence")
def take_evidence(visit: Visit, dispute_id: str) -> Response:
    """Take the evidence of a dispute, as the API gives it."""
    visit.requires("dispute")
    return get_evidence(visit.call, dispute_id_of(dispute_id), SinceQuery()).response()


def _find(visit: Visit, id: UUID) -> DisputeView:
    with visit.call.connection() as connection:
        dispute = require(visit.call.queries(Disputes).find(connection, id), UnknownDispute())
    visit.call.check_confinement_now(dispute.subscription_id, UnknownDispute())
    return dispute


def _decision(form: Mapping[str, str]) -> ResolveDisputeRequest:
    names = ("outcome", "note", "credit_to", "credits")
    fields: dict[str, Any] = {name: form[name].strip() for name in names if form.get(name, "").strip()}
    if fields.get("outcome") == "rejected":
        fields.pop("credits", None)
        fields.pop("credit_to", None)
    body = decoded(fields, ResolveDisputeRequest)
    assert isinstance(body, ResolveDisputeRequest)
    return body


def _dry_run(visit: Visit, dispute: DisputeView, command: Any) -> DryRun:
    """Decide by the real rules, and record nothing. Raises Problem where it would be refused."""
    schema = visit.service.backend.schema
    id, version = dispute.subscription_id, dispute.charge.version
    with visit.call.connection() as connection:
        head = require(visit.call.queries(Disputes).head(connection, dispute.dispute_id), UnknownDispute())
        (stored,) = Recorder(schema).events(connection, id, after=version - 1, until=version)
        now = visit.service.as_of.now(connection, id)
    charged = read_event(stored).event
    assert isinstance(charged, GenerationCharged)
    past = read_past(visit.call, id, now, None)
    charge = DisputedCharge(id, charged, version, dispute.charge.reversed_at is not UNSET)
    decision = decide(head.state, command, charge, past.state, past.at, visit.service.backend.catalogue)
    if isinstance(decision, Refusal):
        raise Problem(decision)
    after = fold(decision.on_subscription, past.state) or past.state
    before = past.state.balance_credits
    return DryRun(after.balance_credits - before, before, after.balance_credits)
