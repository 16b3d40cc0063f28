"""Holds as read: where they are recorded stands in the charges table, what they are in their events.

queries.py   reads holds
view.py      the public form of a hold
holds.sql    the statements of queries
"""
