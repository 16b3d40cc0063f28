"""What if: the history of a subscription replayed with changes. Nothing is recorded."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from services.catalogue.policies import UpgradePolicy
from services.http.audit_requests import WhatIfRequest
from services.http.console.pages import Visit, page
from services.http.console.rendering import credits_in_words
from services.http.console.subscriptions import decoded
from services.http.parameters import subscription_id_of
from services.http.problems import invalid
from services.http.routes.past import ask_what_if

POLICIES: tuple[UpgradePolicy, ...] = ("deduct_used", "add_leftover", "fresh")


@page("/subscriptions/{subscription_id}/what-if")
async def show_what_if(visit: Visit, subscription_id: str) -> Response:
    """Show the form; with changes, both balances and everything that differs."""
    visit.requires("audit")
    id = subscription_id_of(subscription_id)
    await visit.call.check_confinement(id)
    form = visit.query
    request = _request(form)
    answer = None
    if form:
        answer = msgspec.json.decode((await ask_what_if(visit.call, id, request)).body)
    return visit.page("what_if.html", id=id, form=form, answer=answer, policies=POLICIES, in_words=_in_words)


def _in_words(outcome: dict[str, Any] | None) -> str:
    """Put an outcome of a replay, as the API shows it, into a few words."""
    match outcome:
        case None:
            return "nothing"
        case {"outcome": "refused", "code": code}:
            return f"{outcome.get('generation_id', '')} refused: {str(code).replace('_', ' ')}"
        case {"credits": int(credits_)}:
            name = outcome.get("generation_id", "")
            return f"{name} {outcome['outcome']}, {credits_in_words(credits_)} credits".strip()
        case _:
            return str(outcome["outcome"]).replace("_", " ")


def _request(form: Mapping[str, str]) -> WhatIfRequest:
    """Make the request that the form stands for. Raises Problem."""
    fields: dict[str, Any] = {}
    if left_out := form.get("without", "").split():
        fields["without_generations"] = left_out
    model, credits_ = form.get("model", "").strip(), form.get("credits", "").strip()
    if bool(model) != bool(credits_):
        raise invalid("credits" if model else "model", "a price has a model and credits per unit")
    if model:
        fields["reprice"] = {model: credits_}
    if form.get("upgrade_policy"):
        fields["upgrade_policy"] = form["upgrade_policy"]
    request = decoded(fields, WhatIfRequest)
    assert isinstance(request, WhatIfRequest)
    return request
