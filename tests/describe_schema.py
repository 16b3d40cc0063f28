"""Writes `services/migrations/schema.txt` anew, from a new database: `make schema`."""

import tempfile
from pathlib import Path

import services.migrations
from services.migrations.description import as_text, describe
from services.migrations.migrate import migrate
from services.postgres.database import connect
from services.postgres.embedded import EmbeddedPostgres

if __name__ == "__main__":
    with (
        tempfile.TemporaryDirectory(prefix="tallystick-schema-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres", settings={"fsync": "off"}, scratch=True) as server,
    ):
        migrate(server.url, "tallystick")
        with connect(server.url) as connection:
            text = as_text(describe(connection, "tallystick"))
        (Path(services.migrations.__file__).parent / "schema.txt").write_text(text, encoding="utf-8")
