"""The charges read model: which generations were charged, and which of these charges were reversed.

A row says where a charge is recorded. Its details are read from its event, so that they are stored once.

project.py     the row, made from the event of a charge, and changed by that of its reversal
queries.py     reads charges
view.py        the public form of a charge
charges.sql    the statements of queries, and the write path's lookups by generation id
"""
