"""Prompt templates: one Markdown file per task, Jinja2, strict about variables, overridable file by file.

The shipped ones lie in `prompts/`; a file of the same name in the user's own directory (`paths.prompts_dir()`) takes
its place. A workspace can never bring one. A template may use exactly the variables of its task: one that uses others,
or a call that leaves some out, is an error that names all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from codeface_lsp import paths
from codeface_lsp.errors import PromptError

_CODE = frozenset({"path", "language", "code", "context"})

TASKS: dict[str, frozenset[str]] = {
    "system": frozenset({"answer_language", "language"}),
    "explain": _CODE | {"question", "facts"},
    "fix": _CODE | {"diagnostics", "instruction"},
    "docstring": _CODE | {"style", "example"},
    "tests": _CODE | {"framework", "test_path", "existing", "module"},
    "refactor": _CODE | {"instruction"},
    "simplify": _CODE,
    "complete_stub": _CODE | {"instruction"},
    "retry": frozenset({"language", "answer", "problem"}),
    "commit": frozenset({"diff", "log"}),
    "search": frozenset({"question", "passages"}),
    "lesson": _CODE | {"topic"},
    "chat": frozenset({"message", "attachments"}),
}
"""The variables of each task's template."""


@dataclass(frozen=True, slots=True)
class TemplateFile:
    """Where a task's template comes from."""

    task: str
    path: Path
    text: str
    overridden: bool


def render(task: str, **variables: Any) -> str:
    """Render a task's template.

    Raises `PromptError` if the template cannot be read, uses variables that the task does not have, or if `variables`
    are not exactly the task's; the message names every one of them.
    """
    given = frozenset(variables)
    _refuse(task, missing=TASKS[task] - given, unknown=given - TASKS[task])
    directories = (str(paths.prompts_dir()), str(paths.shipped("prompts")))
    environment = _environment(directories)
    source = find(task)
    try:
        _refuse(task, unknown=_used(environment, source.text) - TASKS[task], path=source.path)
        return _compiled(environment, source.text).render(**variables).strip()
    except TemplateSyntaxError as error:
        raise PromptError(
            f"The prompt template {source.path} has a mistake in line {error.lineno}: {error.message}; "
            "correct it or remove the file."
        ) from error
    except TemplateError as error:
        raise PromptError(
            f"The prompt template {source.path} cannot be rendered ({error}); correct it or remove the file."
        ) from error


def find(task: str) -> TemplateFile:
    """The template in force for a task: the user's own, else the shipped one. Raises `PromptError`."""
    if task not in TASKS:
        raise PromptError(f"There is no prompt `{task}`; there are {', '.join(sorted(TASKS))}.")
    own = paths.prompts_dir() / f"{task}.md"
    file = own if own.is_file() else paths.shipped("prompts") / f"{task}.md"
    try:
        return TemplateFile(task, file, file.read_text(encoding="utf-8"), overridden=file == own)
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(f"The prompt template {file} cannot be read; correct it or remove it.") from error


def fenced(code: str, language: str = "") -> str:
    """Code in a Markdown fence that is longer than any run of backticks in it, so that code cannot end it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    end = "" if code.endswith("\n") else "\n"
    return f"{fence}{language}\n{code}{end}{fence}"


@lru_cache(maxsize=4)
def _environment(directories: tuple[str, ...]) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(directories),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["fenced"] = fenced
    return environment


@lru_cache(maxsize=64)
def _compiled(environment: ImmutableSandboxedEnvironment, source: str) -> Template:
    return environment.from_string(source)


@lru_cache(maxsize=64)
def _used(environment: ImmutableSandboxedEnvironment, source: str) -> frozenset[str]:
    """Variables that a template needs, included templates too."""
    tree = environment.parse(source)
    names = set(meta.find_undeclared_variables(tree))
    for included in meta.find_referenced_templates(tree):
        if included is not None and environment.loader is not None:
            names |= _used(environment, environment.loader.get_source(environment, included)[0])
    return frozenset(names)


def _refuse(
    task: str,
    *,
    missing: frozenset[str] = frozenset(),
    unknown: frozenset[str] = frozenset(),
    path: Path | None = None,
) -> None:
    problems = [
        f"{verb} {_listed(names)}"
        for verb, names in (("lacks", missing), ("does not have", unknown))
        if names
    ]
    if problems:
        where = f" ({path})" if path else ""
        raise PromptError(
            f"The prompt `{task}`{where} {' and '.join(problems)}; its variables are {_listed(TASKS[task])}."
        )


def _listed(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
