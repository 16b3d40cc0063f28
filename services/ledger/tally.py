"""What a writer lane has done, in plain numbers of its thread: an answer costs no lock and no object of a library."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from services.ledger.submission import Answer, Charged, Failed, Refused, Submission

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
COMMANDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


class Distribution:
    """How many values there were up to each bound, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class LaneTally:
    """Counts of one lane since it began. One thread writes; others may read numbers that belong to no one instant."""

    def __init__(self) -> None:
        self.charges = 0
        self.credits_charged = 0
        self.unknown_outcomes = 0
        self.refusals: Counter[str] = Counter()
        self.batch_commands = Distribution(COMMANDS)
        self.commit_seconds = Distribution(SECONDS)
        self.wait_seconds = Distribution(SECONDS)

    def begin(self, submissions: Sequence[Submission], now: float) -> None:
        """Count a batch of commands that waited until now, an instant of `time.monotonic()`."""
        self.batch_commands.add(len(submissions))
        for each in submissions:
            self.wait_seconds.add(now - each.submitted_at)

    def count(self, answer: Answer) -> None:
        """Count an answer."""
        match answer:
            case Charged(charge, is_replay):
                if not is_replay:
                    self.charges += 1
                    self.credits_charged += charge.credits
            case Refused(refusal):
                self.refusals[refusal.code] += 1
            case Failed(may_have_happened=True):
                self.unknown_outcomes += 1
            case _:
                pass
