"""The verification of a ledger: hash chains, checkpoints, read models and rules."""
