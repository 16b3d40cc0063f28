"""The `tallystick` command. Each module holds the commands of one concern; `main` puts them together.

Exit status: 0 done, 1 found something wrong, 2 wrong use.
"""

from services.cli.program import main

__all__ = ["main"]
