"""Examples of statements for the documentation: of the first month of the other examples' subscription."""

from services.http.documentation.examples import CHARGE
from services.http.documentation.log_examples import NOTE
from services.http.server.reply import encode
from services.ledger.statements import Statement
from services.subscription.statement import StatementLine

_GRANT = StatementLine(
    CHARGE.charged_at.replace(month=1, day=31, hour=10, minute=0, second=0, microsecond=0),
    "granted",
    40_000,
    40_000,
    "40,000 credits were granted, the first allowance.",
)
_USE = StatementLine(
    CHARGE.charged_at, "charged", -150, 39_850, "150 credits for music with lyria-3.", CHARGE.generation_id
)
STATEMENT = Statement(
    subscription_id=CHARGE.subscription_id,
    cycle=1,
    plan_id="ai-suite-40000-monthly",
    opening_credits=0,
    granted_credits=40_000,
    carried_credits=0,
    used_credits=150,
    reversed_credits=0,
    lapsed_credits=0,
    held_credits=0,
    closing_credits=39_850,
    lines=(_GRANT, _USE),
    first_version=1,
    last_version=3,
    checkpoint=NOTE,
)
_PAGE = "<!doctype html>…"
LIST_STREAMS = {
    "text/csv": "subscription_id,cycle,plan_id,opening_credits,granted_credits,carried_credits,used_credits,"
    "reversed_credits,lapsed_credits,held_credits,closing_credits,first_version,last_version\r\n"
    f"{CHARGE.subscription_id},1,ai-suite-40000-monthly,0,40000,0,150,0,0,0,39850,1,3\r\n",
    "application/x-ndjson": encode(STATEMENT).decode() + "\n",
    "text/html": _PAGE,
}
STREAMS = {
    "text/csv": "subscription_id,cycle,at,kind,credits,balance_after,generation_id,text\r\n"
    f"{CHARGE.subscription_id},1,2026-02-03T09:15:12.345678Z,charged,-150,39850,track-7f3a,"
    "150 credits for music with lyria-3.\r\n",
    "application/x-ndjson": encode(_USE).decode() + "\n",
    "text/html": _PAGE,
}
