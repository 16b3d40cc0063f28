"""The processes of one service: supervisor, interpreter settings, projector, status page of a role."""
