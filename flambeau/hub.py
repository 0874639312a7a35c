"""Models and weights from elsewhere: downloads that are checked and complete, and repositories with a ``hubconf.py``."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, MutableSequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from flambeau.serialization.replacing import Replacement

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

_HASH_IN_NAME = re.compile(r"-([a-f0-9]*)\.")
HASH_REGEX = _HASH_IN_NAME  # libraries take it from here
_TRUSTED_OWNERS = ("facebookresearch", "facebookincubator", "pytorch", "fairinternal")
_PIECE = 128 * 1024
_SECONDS = 60  # without a byte, before a download is given up
_chosen: MutableSequence[str] = []


class tqdm:
    """A progress bar in one line of standard error, with the part of the `tqdm` package's interface used here."""

    def __init__(self, iterable=None, *, total=None, disable: bool = False, **options) -> None:
        self.iterable, self.total, self.disable, self.n = iterable, total, disable, 0
        self._shown = -1

    def update(self, n: int = 1) -> None:
        """Count `n` more."""
        self.n += n
        percent = 100 * self.n // self.total if self.total else self.n >> 20
        if not self.disable and percent != self._shown:
            self._shown = percent
            text = f"{percent}%" if self.total else f"{percent} MiB"
            sys.stderr.write(f"\r{text} of {self.total / 1e6:.1f} MB" if self.total else f"\r{text}")
            sys.stderr.flush()

    def close(self) -> None:
        """End the line."""
        if not self.disable and self._shown >= 0:
            sys.stderr.write("\n")

    def __iter__(self) -> Iterator:
        for item in self.iterable or ():
            yield item
            self.update(1)
        self.close()

    def __enter__(self) -> tqdm:
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.close()


def _get_torch_home() -> str:
    """The folder of downloads: of `get_dir` the parent."""
    return os.path.dirname(get_dir())


def get_dir() -> str:
    """The folder of downloads: what `set_dir` chose, ``$TORCH_HOME/hub``, or ``~/.cache/torch/hub``."""
    if _chosen:
        return _chosen[-1]
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    home = os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(cache, "torch")))
    return os.path.join(home, "hub")


def set_dir(d: str | os.PathLike) -> None:
    """Keep downloads in the folder `d` from now on."""
    _chosen[:] = [os.path.expanduser(d)]


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Download a file. It appears at `dst` complete and checked, or not at all.

    Args:
        hash_prefix: the first hexadecimal digits of the SHA-256 of the content.
        progress: show how far the download is, on standard error.

    Raises: RuntimeError when the content has another hash or is cut off; urllib.error.URLError.
    """
    target = os.path.expanduser(dst)
    request = urllib.request.Request(url, headers={"User-Agent": "torch.hub"})
    with urllib.request.urlopen(request, timeout=_SECONDS) as source:
        length = source.headers.get("Content-Length")
        expected = int(length) if length and length.isdigit() else None
        digest, received = hashlib.sha256(), 0
        with Replacement(target) as file, tqdm(total=expected, disable=not progress) as bar:
            while piece := source.read(_PIECE):
                file.write(piece)
                digest.update(piece)
                received += len(piece)
                bar.update(len(piece))
            if expected is not None and received != expected:
                raise RuntimeError(f"the download of {url} was cut off after {received} of {expected} bytes")
            found = digest.hexdigest()
            if hash_prefix is not None and found[: len(hash_prefix)] != hash_prefix:
                raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{found}")')


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> dict[str, Any]:
    """The object in a file at a URL, downloaded once and kept in `model_dir`.

    Unlike PyTorch, what was downloaded runs no code unless ``weights_only=False`` says so.

    Args:
        model_dir: folder of the file; ``<hub_dir>/checkpoints`` when left out.
        check_hash: check the content against the hash in the file's name, ``name-<first 8 digits or more>.pth``.
        file_name: name of the file; the last part of the URL when left out.
    """
    import flambeau

    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(folder, exist_ok=True)
    name = file_name if file_name is not None else os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        sys.stderr.write(f'Downloading: "{url}" to {path}\n')
        found = _HASH_IN_NAME.search(name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress=progress)
    with _inside_plain_zip(path) as file:
        return flambeau.load(file, map_location=map_location, weights_only=weights_only)


@contextlib.contextmanager
def _inside_plain_zip(path: str) -> Iterator[Any]:
    """The file itself; or, of a zip archive with one checkpoint in it (as was once usual), that checkpoint."""
    import io

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) == 1 and not members[0].is_dir():
                if members[0].file_size > 16 * os.path.getsize(path):
                    raise RuntimeError(f"{path} unpacks to more than 16 times its size")
                yield io.BytesIO(archive.read(members[0]))
                return
    yield path


def list(
    github: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: bool | str | None = "check",
    verbose: bool = True,
) -> Any:
    """The names of the models that a GitHub repository offers in its ``hubconf.py``.

    Args:
        github: ``"owner/repository"`` or ``"owner/repository:branch_or_tag"``.
        force_reload: download again.
        trust_repo: True trusts the repository from now on, False asks each time, ``"check"`` asks once.
    """
    folder = _repository(github, force_reload, verbose, skip_validation, trust_repo)
    module = _hubconf(folder)
    return [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]


def help(
    github: str,
    model: str,
    force_reload: bool = False,
    skip_validation: bool = False,
    trust_repo: bool | str | None = "check",
) -> Any:
    """The docstring of a model that a GitHub repository offers; see `list`."""
    folder = _repository(github, force_reload, True, skip_validation, trust_repo)
    return _entry(_hubconf(folder), model).__doc__


def load(
    repo_or_dir: str | os.PathLike,
    model: str,
    *args: Any,
    source: str = "github",
    trust_repo: bool | str | None = "check",
    force_reload: bool = False,
    verbose: bool = True,
    skip_validation: bool = False,
    **kwargs: Any,
) -> Any:
    """Call a function of a ``hubconf.py``, which makes a model.

    Args:
        repo_or_dir: ``"owner/repository[:branch_or_tag]"``, or a folder with ``source="local"``.
        model: name of the function; the other arguments are its own.
        trust_repo: see `list`. The repository's code runs in this process.

    Raises: ValueError for another source; RuntimeError when there is no such function.
    """
    source = source.lower()
    if source not in ("github", "local"):
        raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
    folder = os.fspath(repo_or_dir)
    if source == "github":
        folder = _repository(folder, force_reload, verbose, skip_validation, trust_repo)
    return _entry(_hubconf(folder), model)(*args, **kwargs)


def _hubconf(folder: str) -> Any:
    """The module ``hubconf.py`` of a folder, which may import what stands beside it."""
    path = os.path.join(folder, "hubconf.py")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"[Errno 2] No such file or directory: '{path}'")
    sys.path.insert(0, folder)
    try:
        described = importlib.util.spec_from_file_location("hubconf.py", path)
        assert described is not None and described.loader is not None  # noqa: PT018 (it is a file)
        module = importlib.util.module_from_spec(described)
        described.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    missing = [name for name in getattr(module, "dependencies", ()) if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
    return module


def _entry(module: Any, name: str) -> Any:
    if not isinstance(name, str):
        raise ValueError("Invalid input: model should be a string of function name")
    function = getattr(module, name, None)
    if function is None or not callable(function):
        raise RuntimeError(f"Cannot find callable {name} in hubconf")
    return function


def _parsed(github: str) -> tuple[str, str, str | None]:
    """Owner, repository and branch or tag."""
    repository, _, ref = github.partition(":")
    parts = repository.split("/")
    safe = all(re.fullmatch(r"[\w.-]+", part) and part not in (".", "..") for part in parts)
    if len(parts) != 2 or not safe or not re.fullmatch(r"[\w./-]*", ref) or ".." in ref:
        raise ValueError(f'"{github}" is no repository; it reads as "owner/repository[:branch_or_tag]"')
    return parts[0], parts[1], ref or None


def _repository(
    github: str, force_reload: bool, verbose: bool, skip_validation: bool, trust_repo: Any
) -> str:
    """The folder of a repository, downloaded unless it is there."""
    owner, name, ref = _parsed(github)
    hub = get_dir()
    os.makedirs(hub, exist_ok=True)
    _check_trust(hub, owner, name, trust_repo)
    branches = [ref] if ref else ["main", "master"]
    folders = {b: os.path.join(hub, "_".join([owner, name, b.replace("/", "_")])) for b in branches}
    for folder in folders.values():
        if os.path.isdir(folder) and not force_reload:
            if verbose:
                sys.stderr.write(f"Using cache found in {folder}\n")
            return folder
    for branch, folder in folders.items():
        try:
            _fetch(f"https://github.com/{owner}/{name}/zipball/{branch}", folder, verbose)
            return folder
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
    raise ValueError(f"Cannot find {ref or 'main or master'} in https://github.com/{owner}/{name}")


def _fetch(url: str, folder: str, verbose: bool) -> None:
    """Download an archive and unpack its one folder to `folder`."""
    archive, beside = f"{folder}.zip", f"{folder}.new"
    if verbose:
        sys.stderr.write(f'Downloading: "{url}" to {archive}\n')
    shutil.rmtree(beside, ignore_errors=True)
    try:
        download_url_to_file(url, archive, progress=False)
        with zipfile.ZipFile(archive) as packed:
            _unpack(packed, Path(beside))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(next(Path(beside).iterdir()), folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        Path(archive).unlink(missing_ok=True)


def _unpack(packed: zipfile.ZipFile, target: Path) -> None:
    """Unpack an archive all of whose files lie inside one folder; nothing is written outside `target`."""
    roots = {info.filename.split("/", 1)[0] for info in packed.infolist()}
    root = target.resolve()
    for info in packed.infolist():
        inside = (root / info.filename).resolve().is_relative_to(root)
        if not inside or info.filename.startswith(("/", "\\")) or len(roots) != 1:
            raise RuntimeError(f"the archive holds {info.filename!r}, which lies outside its folder")
    packed.extractall(target)


def _check_trust(hub: str, owner: str, name: str, trust_repo: Any) -> None:
    """Ask before code of a repository runs that is not known to be trusted."""
    path = os.path.join(hub, "trusted_list")
    entry = f"{owner}_{name}"
    with contextlib.suppress(FileNotFoundError):
        if entry in Path(path).read_text("utf-8").splitlines() and trust_repo in ("check", True):
            return
    if trust_repo == "check" and owner in _TRUSTED_OWNERS:
        return
    if trust_repo is not True:
        answer = input(
            f"The repository {owner}_{name} does not belong to the list of trusted repositories and as such cannot be "
            "downloaded. Do you trust this repository and wish to add it to the trusted list of repositories (y/N)?"
        )
        if answer.lower() not in ("y", "yes"):
            raise Exception("Untrusted repository.")
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{entry}\n")
