"""The HTTP API: FastAPI with typed routes, and a fast path for the three hot ones.

FastAPI's idioms hold for every route: a router a feature, `Annotated` dependencies for caller, path, query and body,
scopes by `Security`, plain functions in threads where they read, coroutines where they await the writer lane, exception
handlers, one route class. A handler's signature is its whole declaration: scope, parameters, body and, by its return
type, what a success is.

Three things are done otherwise, for speed. A charge that charges nothing takes 120 µs of CPU by a typed FastAPI route,
72 by one that takes only the request, 28 by ASGI alone; a real charge takes some 110 µs in all
(docs/decisions/0012-fastapi.md).

- Bodies are msgspec structs, not pydantic models: `JsonBody` decodes them, and `TypedRoute` encodes what a handler
  returns, so there is no `response_model`.
- The OpenAPI document is therefore made in `documentation/`, from the same signatures.
- Charge, hold, capture, batch and balance are `HotRoute`s: the fast path calls their handlers without FastAPI
  wherever it can.

app.py             assembles routes, error handlers and the fast path
backend.py         what the composition root passes in
service.py         what is made of the backend for all handlers
routes/            the handlers, a module a feature
routing.py         signatures of handlers, and the route classes
calls.py           the first argument of a handler: service, request, caller
authentication.py  callers and scopes
confinement.py     what a key may do that is confined to accounts or subscriptions
batch_items.py     the items of a batch
decoding.py        bodies and queries as structs
repeated_keys.py   keys that a JSON object has twice
instants.py        instants in requests, to the microsecond
requests.py        the bodies of commands
audit_requests.py  the bodies of disputes and what-ifs
parameters.py      ids in paths, If-Match, time zones
commands.py        commands to the ledger, answers to replies
idempotency.py     replies under an Idempotency-Key
reads.py           subscriptions and balances as of now
previews.py        quotes and upgrade previews
log_views.py       signed checkpoints as they are shown
paging.py          pages and cursors
whole_lists.py     any list in pages as a stream
feed.py            one reader for all who follow the ledger
exports.py         whole lists as CSV and NDJSON
statement_page.py  the page of statements
problems.py        refusals and errors as problems
readiness.py       whether charges can be made
patience.py        long reads, bounded in time
freshness.py       values that are computed once a second, however many ask
metrics.py         Prometheus
database_metrics.py  metrics that are read from the database
rate_limits.py     how many requests a key may make
request_log.py     lines of requests in the log
refused_states.py  what a refusal was decided on
server/            the socket, the fast path, requests and replies
console/           the pages for support agents and auditors
documentation/     the OpenAPI document and its page
"""
