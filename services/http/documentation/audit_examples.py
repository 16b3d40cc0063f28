"""Examples of usage and disputes for the documentation: of the charge of the other examples, and what came of it."""

from datetime import timedelta
from uuid import UUID

from msgspec.structs import replace

from projections.disputes.view import DisputeView, Resolution
from projections.movements.view import SubscriptionBalance, TrialBalance
from projections.usage.view import Usage
from services.http.audit_requests import OpenDisputeRequest, ResolveDisputeRequest
from services.http.documentation.examples import CHARGE
from services.http.documentation.log_examples import NOTE
from services.http.server.reply import encode

EVIDENCE = "PK..."
RECEIPT = f"c2sp.org/tlog-proof@v1\nextra eyJjb25zaXN0...\nindex 1602\ndQ7vY0Zk...\n\n{NOTE}"
DISPUTE_ID = UUID("5b1e7f3c-2a94-4c7e-9d35-0c6f8a1b2d4e")
_OPENED = CHARGE.charged_at + timedelta(hours=3)
_NOTE = "The customer was charged for a track that failed with an error."

OPEN_DISPUTE = OpenDisputeRequest(CHARGE.subscription_id, CHARGE.generation_id, "generation_failed", _NOTE)
RESOLVE_DISPUTE = ResolveDisputeRequest("upheld", "The log of the model shows the failure.", "current_cycle")
DISPUTE = DisputeView(
    dispute_id=DISPUTE_ID,
    subscription_id=CHARGE.subscription_id,
    generation_id=CHARGE.generation_id,
    reason="generation_failed",
    note=_NOTE,
    status="open",
    opened_at=_OPENED,
    charge=CHARGE,
    version=1,
)
UPHELD = replace(
    DISPUTE,
    status="upheld",
    charge=replace(CHARGE, status="reversed"),
    version=2,
    resolved_at=_OPENED + timedelta(days=1),
    resolution=Resolution("upheld", RESOLVE_DISPUTE.note, "current_cycle"),
)
USAGE = Usage(
    month="2026-02",
    model=CHARGE.model,
    charges=1,
    credits=CHARGE.credits,
    reversed_credits=0,
    net_credits=CHARGE.credits,
)
USAGE_STREAMS = {
    "text/csv": "month,model,charges,credits,reversed_credits,net_credits\r\n2026-02,lyria-3,1,150,0,150\r\n",
    "application/x-ndjson": encode(USAGE).decode() + "\n",
}

_SUMS = {
    "opening_credits": 39_850,
    "granted_credits": 40_000,
    "used_credits": CHARGE.credits,
    "reversed_credits": 0,
    "lapsed_credits": 39_000,
    "held_credits": 300,
    "left_credits": 40_400,
    "sum_credits": 0,
}
TRIAL_BALANCE = TrialBalance(
    since=CHARGE.charged_at.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
    until=CHARGE.charged_at.replace(day=1, month=3, hour=0, minute=0, second=0, microsecond=0),
    position=CHARGE.position,
    **_SUMS,
)
SUBSCRIPTION_BALANCE = SubscriptionBalance(
    subscription_id=CHARGE.subscription_id,
    **_SUMS,
    last_position=CHARGE.position,
    events=f"/v1/events?subscription_id={CHARGE.subscription_id}&after_position=1201",
)
