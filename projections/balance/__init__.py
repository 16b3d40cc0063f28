"""The balance read model: one row per subscription, written with every command.

project.py     the row, made from a subscription's state
queries.py     reads rows
view.py        the public form of a balance
balance.sql    the statements of queries, and the one that moves counters after charges
"""
