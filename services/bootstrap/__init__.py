"""The composition root: settings in, running parts out. Only this package constructs adapters."""
