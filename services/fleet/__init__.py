"""What is done to all subscriptions: a what-if, the settlement of what it found, the adoption of terms.

changes.py     what a run changes, and the mark by which its corrections are known
run_file.py    the form of a run as NDJSON: its head, a line a subscription, its end
replaying.py   the work of one process: ranges of subscriptions, replayed
running.py     a run in all processes, written in order, gone on with where it was cut short
pages.py       a run as CSV and as a page
adopting.py    subscribers of a plan take its present terms
settling.py    a run's differences recorded, once per run
fleet.sql      the queries of all
"""
