"""The charges read model: which generations were charged, and which of these charges were reversed.

A row says where a charge is recorded; what it was is read from its event, so a charge is kept once.
"""
