"""The renewal read model: what each subscription is, and when time changes it next.

project.py     the row, made from a subscription's state, which it contains
queries.py     reads whole subscriptions
view.py        the public forms of a subscription and of its renewals
agenda.py      subscriptions by their next boundary
due.py         subscriptions whose next boundary has passed and is not recorded yet
lag.py         metrics of how far recording is behind
renewal.sql    the statements of queries
agenda.sql     those of the agenda
due.sql        those of what is due
"""
