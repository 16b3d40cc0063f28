"""Attacks on a running service, beside customers who charge: what the customers notice of them."""
