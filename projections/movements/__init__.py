"""The movements read model: what each event moves, and sums of many events, of which a trial balance is made.

project.py      the row of an event
blocks.py       sums of blocks of rows by the minute, so that no question reads all rows
blocks.sql      the statements of blocks
queries.py      a trial balance, of all subscriptions and of each
movements.sql   the statements of queries
view.py         what the API shows
"""
