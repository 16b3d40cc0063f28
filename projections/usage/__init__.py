"""The usage read model: charges and credits per subscription, day, model and asset type, a moment behind the events."""
