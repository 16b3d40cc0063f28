"""List the signed checkpoints of the log, and prove that one begins with another."""

from typing import Annotated

from fastapi import APIRouter, Depends
from msgspec import Meta, Struct, field

from services.http.calls import Reader
from services.http.confinement import Confinement
from services.http.decoding import QueryOf
from services.http.documentation import log_examples as examples
from services.http.documentation.examples import page_of
from services.http.documentation.operations import Shown, documented
from services.http.log_views import CheckpointView, view_of
from services.http.paging import AtPosition, Page, Paging
from services.http.problems import NoCheckpoint, invalid, require
from services.http.routing import TypedRoute
from services.http.server.reply import Reply
from services.integrity.sealing.store import EVENTS, MAX_NUMBER
from services.log.checkpoint import SIZE_LIMIT

router = APIRouter(tags=["Log"], route_class=TypedRoute)

TEXT = "text/plain"
Size = Annotated[int, Meta(ge=0, le=SIZE_LIMIT - 1)]


class ProofQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The sizes of two trees of the log."""

    old_size: Annotated[Size, Meta(description="The size of the earlier tree.", examples=[1600])] = field(name="from")
    size: Annotated[Size | None, Meta(description="The size of a checkpoint; absent: the newest one.")] = field(
        name="to", default=None
    )


@router.get("/v1/checkpoints", openapi_extra=documented({200: page_of(examples.CHECKPOINT)}))
def list_checkpoints(
    call: Annotated[Reader, Confinement.FOR_ALL], query: Annotated[Paging, Depends(QueryOf(Paging))]
) -> Page[CheckpointView]:
    """List the signed notes of the log, newest first, with the cosignatures that each has so far."""
    before = query.place(AtPosition, AtPosition(MAX_NUMBER)).position
    store = call.service.backend.logs[EVENTS].store
    with call.connection() as connection:
        stored = store.newest_first(connection, before=before, limit=query.one_more)
    numbers = [each.number for each in stored]
    views = [view_of(each) for each in stored]
    return query.page(views, lambda last: AtPosition(numbers[views.index(last)]))


@router.get(
    "/v1/checkpoints/latest",
    openapi_extra=documented({200: Shown(examples.NOTE, media_type=TEXT)}, refusals=(NoCheckpoint,)),
)
def latest_checkpoint(call: Annotated[Reader, Confinement.FOR_ALL]) -> Reply[str]:
    """Show the newest signed note of the log. Keep it: it proves every later change of what was recorded until now."""
    with call.connection() as connection:
        newest = require(call.service.backend.logs[EVENTS].newest(connection), NoCheckpoint())
    return Reply(200, str(newest.note).encode(), media_type=TEXT)


@router.get(
    "/v1/checkpoints/proof",
    openapi_extra=documented({200: Shown(examples.SUBMISSION, media_type=TEXT)}, refusals=(NoCheckpoint,)),
)
def prove_consistency(
    call: Annotated[Reader, Confinement.FOR_ALL], query: Annotated[ProofQuery, Depends(QueryOf(ProofQuery))]
) -> Reply[str]:
    """Prove that the log begins with what it was at an earlier size, as the body of a C2SP add-checkpoint request.

    It has a line `old M`, the hashes of the proof, an empty line, and the note of size N. `from` is any size up to N;
    `to` is the size of a checkpoint.
    """
    with call.connection() as connection:
        try:
            submission = call.service.backend.logs[EVENTS].submission(connection, query.old_size, query.size)
        except IndexError:
            raise invalid("from", "must be at most the size of the later checkpoint") from None
    return Reply(200, str(require(submission, NoCheckpoint())).encode(), media_type=TEXT)
