"""The renewal worker: it records due boundaries. Correctness never depends on it.

claims.py     keeps workers from doing the same work
metrics.py    counts what a worker records
recording.py  submits due subscriptions to the ledger's lane, some at a time
role.py       the worker as a role: progress, metrics, health
worker.py     looks for due subscriptions, pass after pass

Boundaries go through the ledger's one write path, which records them before any command anyway. So a worker may stop
for months, run twice, or die at any point.
"""
