"""Which files no model may see: what looks like a secret by its name, and what the ignore files name.

`.gitignore` and `.codefaceignore` count in every directory from the root down, and `.git/info/exclude` at the root, by
Git's own rules: the last pattern that matches decides, and nothing below an ignored directory comes back.

What CodeFace keeps for itself (conversations, indexes, logs) may lie inside of a workspace: one may edit it with
CodeFace's help as any other file, but it is no context for others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from pathspec import GitIgnoreSpec

from codeface_lsp import paths

IGNORE_FILES = (".gitignore", ".codefaceignore")
_ALWAYS = frozenset({".git", ".hg", ".svn"})
_KNOWN_PATHS = 20_000

_SECRET_NAME = re.compile(
    r"""^(
      \.env(rc)?(\..+)? | .+\.env
    | .+\.(pem|key|p12|pfx|p8|pkcs12|crt|cer|der|csr|jks|keystore|kdbx?|ppk|gpg|asc|ovpn|tfstate|tfvars|keytab)(\.\w+)?
    | id_(rsa|dsa|ecdsa|ed25519)(\.\w+)? | ssh_host_\w+_key
    | \.(npmrc|pypirc|netrc|pgpass|htpasswd|git-credentials|dockercfg|s3cfg|boto|vault[-_]?pass\w*|my\.cnf) | _netrc
    | credentials(\.(json|ya?ml|toml|ini|csv|xml))? | client_secret.*\.json | service[-_]?account.*\.json
    | secrets?\.(json|ya?ml|toml|ini|properties|xml|env) | kubeconfig | wallet\.dat
    )$""",
    re.VERBOSE | re.IGNORECASE,
)
_SAMPLE = re.compile(r"\.(example|sample|template|dist|schema|md|py|ts|js)$", re.IGNORECASE)
_SECRET_DIRECTORY = re.compile(r"(^|/)(\.ssh|\.gnupg|\.aws|\.kube|\.docker|\.azure|\.gcloud)/", re.IGNORECASE)


def looks_secret(path: str | PurePath) -> bool:
    """Whether a file's name says that it holds keys, certificates or passwords."""
    pure = PurePath(path)
    if _SECRET_DIRECTORY.search(pure.as_posix()) and pure.suffix not in (".md", ".py"):
        return True
    return bool(_SECRET_NAME.match(pure.name)) and not _SAMPLE.search(pure.name)


class IgnoreRules:
    """The ignore rules of some roots; patterns are read once and again when told that their file changed."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(roots)
        own = {
            form for each in (paths.home(), paths.cache_dir()) for form in (each.absolute(), each.resolve())
        }
        self._own = tuple(f"{each}{os.sep}" for each in own)
        self._specs: dict[Path, list[tuple[str, GitIgnoreSpec]]] = {}
        self._known: dict[str, str | None] = {}

    def reason(self, path: str | Path) -> str | None:
        """Why no model may see this file, in words for the user; None if it may."""
        key = str(path)
        if key in self._known:
            return self._known[key]
        if len(self._known) > _KNOWN_PATHS:
            self._known.clear()
        reason = self._known[key] = self._reason(Path(os.path.normpath(key)))
        return reason

    def own(self, path: str | Path) -> bool:
        """Whether a file lies where CodeFace keeps its own."""
        return str(path).startswith(self._own)

    def shown(self, path: str | Path) -> bool:
        """Whether a file may be shown as context for another one."""
        return self.reason(path) is None and not self.own(path)

    def ignored_directory(self, root: Path, directory: Path) -> bool:
        """Whether nothing below `directory` may be read; those above it are taken not to be ignored."""
        return (
            directory.name in _ALWAYS
            or self.own(f"{directory}{os.sep}")
            or self._match(root, directory, is_directory=True) is not None
        )

    def ignored_file(self, root: Path, file: Path) -> bool:
        """Whether a file in a directory that is not ignored may not be read."""
        return looks_secret(file) or self.own(file) or self._match(root, file, is_directory=False) is not None

    def changed(self, paths: Iterable[Path]) -> bool:
        """Forget what was read from ignore files among `paths`; True if there were any."""
        touched = [path for path in paths if path.name in IGNORE_FILES or path.name == "exclude"]
        if touched:
            self._specs.clear()
            self._known.clear()
        return bool(touched)

    def _reason(self, path: Path) -> str | None:
        if looks_secret(path):
            return "its name says that it holds secrets"
        root = next((root for root in self._roots if path.is_relative_to(root)), None)
        if root is None:
            return None
        parts = path.relative_to(root).parts
        directory = root
        for part in parts[:-1]:
            directory = directory / part
            if directory.name in _ALWAYS:
                return f"it lies in {directory.name}"
            source = self._match(root, directory, is_directory=True)
            if source is not None:
                return f"{source} names it"
        source = self._match(root, path, is_directory=False)
        return f"{source} names it" if source is not None else None

    def _match(self, root: Path, path: Path, *, is_directory: bool) -> str | None:
        """Name of the ignore file whose pattern decides that `path` is ignored, None if it is not."""
        verdict: str | None = None
        directory = root
        steps = [root]
        for part in path.relative_to(root).parts[:-1]:
            directory = directory / part
            steps.append(directory)
        for base in steps:
            for name, spec in self._specs_of(base, root):
                relative = path.relative_to(base).as_posix() + ("/" if is_directory else "")
                include = spec.check_file(relative).include
                if include is not None:
                    verdict = name if include else None
        return verdict

    def _specs_of(self, directory: Path, root: Path) -> list[tuple[str, GitIgnoreSpec]]:
        known = self._specs.get(directory)
        if known is None:
            files = [directory / name for name in IGNORE_FILES]
            if directory == root:
                files.insert(0, directory / ".git" / "info" / "exclude")
            known = self._specs[directory] = [(f.name, spec) for f in files if (spec := _read(f)) is not None]
        return known


def _read(file: Path) -> GitIgnoreSpec | None:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    patterns = []
    for line in lines[:5000]:
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:  # Git skips a pattern that makes no sense, too
            continue
        patterns.append(line)
    return GitIgnoreSpec.from_lines(patterns)
