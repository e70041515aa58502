"""The checks of `codeface doctor`: each says how it stands and, if it does not stand well, what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from codeface_lsp import paths
from codeface_lsp.cli import doctor_editors, doctor_machine, doctor_serving
from codeface_lsp.cli.doctor_check import Check
from codeface_lsp.errors import CodeFaceError, SettingsError
from codeface_lsp.settings import Settings, load


def run_all() -> Iterator[Check]:
    """Every check, in the order in which one would look for a fault; none of them raises."""
    yield from _guarded("Python", doctor_machine.python)
    yield from _guarded("installation", doctor_machine.installation)
    try:
        settings = load()
        known = paths.config_file().exists()
        state = "is valid" if known else "does not exist; the defaults are in force"
        yield Check("settings", "ok", f"{paths.config_file()} {state}.")
    except SettingsError as error:
        yield Check(
            "settings",
            "error",
            error.message,
            f"Correct {paths.config_file()}; the defaults are used until then.",
        )
        settings = Settings()
    yield from _guarded("files", doctor_machine.files)
    yield from _guarded("torch", lambda: doctor_serving.torch_and_gpu(settings))
    yield from _guarded("memory", doctor_machine.memory)
    yield from _guarded("models", lambda: doctor_serving.models(settings))
    yield from _guarded("engine", lambda: doctor_serving.engine(settings))
    yield from _guarded("endpoints", lambda: doctor_serving.endpoints(settings))
    yield from _guarded("editors", doctor_editors.editors)


def _guarded(name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    try:
        yield from check()
    except CodeFaceError as error:
        yield Check(name, "error", error.message, "Do that, then run `codeface doctor` again.")
    except Exception as error:  # a check that fails itself must not hide the ones after it
        yield Check(
            name,
            "warning",
            f"could not be checked ({type(error).__name__}: {error}).",
            "Report this as a bug.",
        )
