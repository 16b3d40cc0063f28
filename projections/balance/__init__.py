"""The balance read model: one row per subscription, written with every command."""
