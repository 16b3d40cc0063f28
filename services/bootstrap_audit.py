"""The composition root of what operators and auditors run: rebuilds, checks, checkpoints, exports."""

from collections.abc import Callable, Iterable
from functools import partial

from projections.rebuild import Progress, Rebuild, Rebuilt
from services.bootstrap import migrated_url
from services.config import Settings
from services.ledger.mapper import decode_event
from services.projector import catch_up_projections


def rebuild(settings: Settings, names: Iterable[str], on_progress: Callable[[Progress], None]) -> Rebuilt:
    """Rebuild projections, all where none is named. Raises UnknownProjection, and what `Rebuild.run` does."""
    schema = settings.db_schema
    make_catch_ups = partial(catch_up_projections, schema)
    return Rebuild(migrated_url(settings), schema, names, decode_event, make_catch_ups, on_progress).run()
