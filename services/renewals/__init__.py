"""The renewal worker: it records what time has made due, and makes nothing right or wrong by it.

worker.py     looks for due subscriptions, pass after pass     recording.py  puts them to the ledger, some at a time
claims.py     keeps two workers from doing the same work       metrics.py    what it counts

Every boundary is recorded by the ledger's one write path, which records it before any command anyway. So a worker may
stop for months, run twice, or die at any point.
"""
