"""Downloads from the model hub with the hub's own client: checked for room and content, explained when refused."""

from __future__ import annotations

import errno
import hashlib
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils._paths import filter_repo_objects
from huggingface_hub.utils.tqdm import tqdm as hub_tqdm

from codeface_lsp.errors import ModelLoadError

log = logging.getLogger(__name__)

WANTED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py", "LICENSE*", "README.md")
UNWANTED = ("original/*", "onnx/*", "openvino/*", "*.bin", "*.h5", "*.msgpack", "*.ot", "consolidated*")
_SPARE = 64 * 1024 * 1024

Report = Callable[[int, int], None]
"""Called with bytes done and bytes in all, from any thread."""


@dataclass(frozen=True, slots=True)
class HubFiles:
    """What a download would bring: names and sizes, and the commit."""

    repo: str
    commit: str
    sizes: dict[str, int]
    checksums: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the files that the hub stores by it (all large ones)."""

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(self.sizes.values())


def local_folder(repo: str, revision: str | None = None) -> Path | None:
    """The folder in the local cache that holds a model, perhaps not all of it; None if nothing is there."""
    try:
        return Path(
            huggingface_hub.snapshot_download(
                repo,
                revision=revision,
                local_files_only=True,
                allow_patterns=list(WANTED),
                ignore_patterns=list(UNWANTED),
            )
        )
    except IncompleteSnapshotError as error:
        return Path(error.snapshot_path)
    except (LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError):
        return None


def remove(repo: str) -> int:
    """Delete a model from the local cache; returns the bytes that this freed."""
    cache = huggingface_hub.scan_cache_dir() if Path(constants.HF_HUB_CACHE).is_dir() else None
    found = next(
        (r for r in (cache.repos if cache else ()) if r.repo_id == repo and r.repo_type == "model"), None
    )
    if cache is None or found is None:
        raise ModelLoadError(
            f"{repo} is not on this machine, so there is nothing to remove.", kind="not_found"
        )
    plan = cache.delete_revisions(*(revision.commit_hash for revision in found.revisions))
    freed = int(plan.expected_freed_size)
    plan.execute()
    return freed


def list_files(repo: str, revision: str | None = None, gguf_file: str | None = None) -> HubFiles:
    """Ask the hub what a download would bring. Raises `ModelLoadError`, `pickle_only` before anything is loaded."""
    with _explained(repo):
        info = huggingface_hub.HfApi().model_info(repo, revision=revision, files_metadata=True)
    siblings = info.siblings or ()
    sizes = {s.rfilename: int(s.size or 0) for s in siblings}
    sums = {s.rfilename: str(s.lfs.sha256) for s in siblings if s.lfs is not None}
    if gguf_file is not None:
        if gguf_file not in sizes:
            raise ModelLoadError(f"{repo} has no file {gguf_file}; check the name.", kind="not_found")
        return HubFiles(repo, str(info.sha), {gguf_file: sizes[gguf_file]}, sums)
    wanted = list(filter_repo_objects(sizes, allow_patterns=list(WANTED), ignore_patterns=list(UNWANTED)))
    if not any(name.endswith(".safetensors") for name in wanted):
        raise ModelLoadError(
            f"{repo} offers no .safetensors weights, and CodeFace opens no pickles, which can run code; "
            "use another revision or a converted copy.",
            kind="pickle_only",
        )
    return HubFiles(repo, str(info.sha), {name: sizes[name] for name in wanted}, sums)


def download(
    repo: str, *, revision: str | None = None, gguf_file: str | None = None, report: Report | None = None
) -> Path:
    """Fetch a model into the local cache; blocks. A cut transfer is resumed, complete files are kept for later.

    Returns its folder (or its `.gguf` file). Raises `ModelLoadError`: `gated`, `not_found`, `offline`, `disk_full`,
    `checksum`, `pickle_only`, `download`.
    """
    files = list_files(repo, revision, gguf_file)
    _check_room(files)
    with _explained(repo):
        folder = huggingface_hub.snapshot_download(
            repo,
            revision=revision,
            allow_patterns=list(files.sizes),
            tqdm_class=_reporting(report, files.total) if report else _Silent,
            max_workers=4,
        )
    _check_content(Path(folder), files)
    return Path(folder) / gguf_file if gguf_file else Path(folder)


def _check_room(files: HubFiles) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    store = cache / repo_folder_name(repo_id=files.repo, repo_type="model")
    there = sum(f.stat().st_size for f in (store / "blobs").glob("*")) if store.is_dir() else 0
    needed, free = max(files.total - there, 0), shutil.disk_usage(cache).free
    if needed + _SPARE > free:
        raise ModelLoadError(
            f"{files.repo} needs {needed / 1e9:.1f} GB on disk and {cache} has {free / 1e9:.1f} GB free; "
            "free some space or set HF_HOME to another disk.",
            kind="disk_full",
        )


def _check_content(folder: Path, files: HubFiles) -> None:
    """Compare sizes and checksums, which the client does not do for plain HTTP; remove what is damaged."""
    for name, size in files.sizes.items():
        path = folder / name
        wanted = files.checksums.get(name)
        if path.stat().st_size == size and (wanted is None or _sha256(path) == wanted):
            continue
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise ModelLoadError(
            f"{name} of {files.repo} arrived damaged and was removed; download it again.", kind="checksum"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """Turn the client's errors into one sentence each."""
    try:
        yield
    except GatedRepoError as error:
        raise ModelLoadError(
            f"{repo} is gated: accept its terms at {constants.ENDPOINT}/{repo} and log in with `hf auth login`.",
            kind="gated",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelLoadError(
            f"There is no model {repo} on the hub, or it is private; check the name, or log in with `hf auth login`.",
            kind="not_found",
        ) from error
    except (
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        httpx2.ConnectError,
        httpx2.TimeoutException,
    ) as error:
        raise ModelLoadError(
            f"The model hub ({constants.ENDPOINT}) did not answer while {repo} was fetched; "
            "check the connection and try again: files that are complete are kept.",
            kind="offline",
        ) from error
    except (RevisionNotFoundError, EntryNotFoundError) as error:
        raise ModelLoadError(
            f"{repo} has no such revision or file; check `revision`.", kind="not_found"
        ) from error
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise _from_transfer(repo, error) from error


def _from_transfer(repo: str, error: Exception) -> ModelLoadError:
    text = str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ModelLoadError(
            f"The disk is full while {repo} was fetched; free some space and try again: complete files are kept.",
            kind="disk_full",
        )
    log.error("download of %s failed: %s", repo, text)
    return ModelLoadError(
        f"The download of {repo} broke off ({type(error).__name__}); try again: files that are complete are kept.",
        kind="download",
    )


class _Silent(hub_tqdm):
    """The client's progress bar, drawing nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.group = kwargs.get("name")
        super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]


def _reporting(report: Report, total: int) -> type[_Silent]:
    """A progress bar class that reports the bytes of the whole snapshot to one callback."""
    lock = threading.Lock()
    done = 0

    class Reporting(_Silent):
        def update(self, n: float | None = 1) -> None:
            nonlocal done
            if self.group != "huggingface_hub.snapshot_download":
                return
            with lock:
                done = min(done + int(n or 0), total)
                report(done, total)

    return Reporting
