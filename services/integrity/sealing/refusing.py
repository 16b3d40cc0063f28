"""Why a sealer refuses. It then signs nothing, and charging goes on."""

from enum import StrEnum


class Reason(StrEnum):
    """The reasons, as the metric `tallystick_sealer_refused` names them."""

    NO_SEALS = "no_seals"
    BAD_SEALS = "bad_seals"
    NO_CHECKPOINT = "no_checkpoint"
    OTHER_CHECKPOINT = "other_checkpoint"
    OTHER_LEDGER = "other_ledger"
    SMALLER_TREE = "smaller_tree"
    OTHER_TREE = "other_tree"
    OTHER_KEY = "other_key"
    BAD_ENTRY = "bad_entry"


class SealerRefused(RuntimeError):
    """What is in the database, or in the folder of seals, does not extend what was signed before."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SealerBusy(RuntimeError):
    """Another process has been sealing here for long."""
