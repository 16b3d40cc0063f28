"""Settings, logs, output and exit statuses that the commands share."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import structlog
import typer
from msgspec.json import Encoder
from pydantic import ValidationError
from rich.console import Console

from services.bootstrap.operator_errors import DATABASE_ERRORS, OPERATOR_ERRORS, WRONG_SETTINGS
from services.config import Settings, UnknownSettings, load_settings
from services.process.supervisor import hold_lifeline

log = structlog.get_logger()

JSON = Encoder(decimal_format="number")
"""Encodes as the API does: amounts of credits are numbers."""

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

INVALID_SETTINGS = (ValidationError, UnknownSettings)

EXIT_USAGE = 2
EXIT_FAILURE = 1


def read_settings() -> Settings:
    """The settings of this process; an invalid one ends it with the setting's name and the reason, and status 2."""
    try:
        return load_settings()
    except INVALID_SETTINGS as error:
        fail("\n".join(faults_of(error)), EXIT_USAGE)


def faults_of(error: ValidationError | UnknownSettings) -> list[str]:
    """Say what is wrong with settings: a line each, with its name and the reason, and without its value."""
    if isinstance(error, UnknownSettings):
        return [str(error)]
    return [
        f"TALLYSTICK_{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors()
    ]


def read_role_settings() -> Settings:
    """The settings of a process that runs until it is stopped. It logs, and it stops with its supervisor."""
    hold_lifeline()
    settings = read_settings()
    set_up_logs(settings)
    return settings


def fail(message: str, status: int = EXIT_FAILURE) -> NoReturn:
    """Print a message in red on standard error, as a line of the log where that is JSON, and exit with a status."""
    if _logs_are_json():
        log.error(message)
    else:
        err.print(message, style="red", markup=False)
    raise typer.Exit(status) from None


@contextmanager
def plain_errors() -> Iterator[None]:
    """Print an error that an operator can mend as one line, and exit with status 1."""
    try:
        yield
    except WRONG_SETTINGS as error:
        fail(str(error), EXIT_USAGE)
    except OPERATOR_ERRORS as error:
        fail(str(error))
    except DATABASE_ERRORS as error:
        fail("PostgreSQL: " + " ".join(str(error).split()))


def tell(message: str) -> None:
    """Say on standard error what a start waits for, as a line of the log where that is JSON."""
    if _logs_are_json():
        log.info(message)
    else:
        err.print(message)


def _logs_are_json() -> bool:
    return structlog.is_configured() and isinstance(
        structlog.get_config()["processors"][-1], structlog.processors.JSONRenderer
    )


def set_up_logs(settings: Settings) -> None:
    """Write structured logs to standard error, as lines for people or as JSON.

    Tracebacks are plain: a rich one renders every local of every frame, which takes seconds and shows secrets.
    """
    as_json = settings.log_format == "json"
    for_people = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    renderer = structlog.processors.JSONRenderer() if as_json else for_people
    described: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info if as_json else structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*described, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    of_libraries = logging.StreamHandler(sys.stderr)
    of_libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=described,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[of_libraries])
    if as_json:
        logging.captureWarnings(capture=True)
        sys.excepthook = lambda kind, error, trace: log.critical("a defect", exc_info=(kind, error, trace))
