"""`python -m services.cli`: how the supervisor starts the roles."""

from services.cli.program import main

main()
