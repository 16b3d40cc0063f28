"""The disputed charges read model: which charge each dispute is about, and whether the dispute is open.

It is inline, unlike `disputes`, so that the write path knows whether a charge has an open dispute.

project.py               the row, made when a dispute is opened, and changed when it is resolved
disputed_charges.sql     the write path's lookup by generation id
"""
