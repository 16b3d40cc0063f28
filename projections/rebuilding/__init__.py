"""The rebuild of read models beside the ones in use."""
