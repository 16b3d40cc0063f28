"""Runs `tallystick` as a process against the database of a test."""

import os
import subprocess
import sys
from pathlib import Path


def tallystick(database_url: str, folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command and return its output and its exit status; `folder` is its data directory."""
    environment = {
        **os.environ,
        "TALLYSTICK_DATABASE_URL": database_url,
        "TALLYSTICK_DATA_DIR": str(folder),
        "COLUMNS": "200",
        **{f"TALLYSTICK_{name.upper()}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "services.cli", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
