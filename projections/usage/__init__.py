"""The usage read model: charges and credits per subscription, day, model and asset type, a moment behind the events.

project.py    what an event adds to a row
queries.py    reads sums
view.py       the public form of sums
usage.sql     the statements of queries
"""
