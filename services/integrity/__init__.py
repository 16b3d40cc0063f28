"""The tamper evidence of a ledger: Merkle trees, signed checkpoints, the sealer, and the rules that events keep."""
