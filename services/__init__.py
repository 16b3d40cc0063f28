"""The ledger of subscription credits: its rules, its shell and its ways in."""
