"""Opening and writing bundles: a folder, or an uncompressed zip of one.

Nothing parses a byte of a file whose size and digest do not match the manifest, no path leaves the bundle, and a
bundle appears under its name only when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_vss.bundle.checks import check_manifest
from edge_vss.bundle.schema import SCHEMA_VERSION, FileRecord, Manifest
from edge_vss.errors import BadInput
from edge_vss.places import check_place

__all__ = ["Bundle", "check_target", "load_bundle", "read_manifest", "write_bundle"]

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 64 << 20


class _Version(msgspec.Struct):
    schema: int


def read_manifest(data: bytes, where: str = MANIFEST) -> Manifest:
    """Parse and check a manifest.

    Raises:
        BadInput: One line: what is wrong and where.
    """
    try:
        version = msgspec.json.decode(data, type=_Version).schema
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema version {version} is not known, this build reads {SCHEMA_VERSION}")
        manifest = msgspec.json.decode(data, type=Manifest)
        check_manifest(manifest)
    except (msgspec.MsgspecError, ValueError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"{where}: {error}") from None
    return manifest


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose manifest has been checked; its files are checked as they are read."""

    path: Path
    manifest: Manifest

    def read(self, name: str) -> bytes:
        """The bytes of one of the manifest's files, after its size and digest were checked."""
        record = self.manifest.files[name]
        data = _read(self.path, name, record.bytes)
        if len(data) != record.bytes or hashlib.sha256(data).hexdigest() != record.sha256:
            raise BadInput(f"{self.path}: {name} was changed after the bundle was written (size or sha256 differs)")
        return data

    def check_schedule(self, name: str) -> None:
        """Refuse a schedule that the bundle lacks; BadInput lists those that it has."""
        known = [schedule.name for schedule in self.manifest.schedules]
        if name not in known:
            raise BadInput(f"{self.path} has no schedule {name!r}; it has: {', '.join(known)}")

    def check_files(self) -> None:
        """Read every file once; BadInput names the first that is missing or changed."""
        for name in self.manifest.files:
            self.read(name)


def load_bundle(path: str | Path) -> Bundle:
    """Open a bundle and check its manifest.

    Raises:
        BadInput: Missing, unreadable, of another version, or inconsistent.
    """
    path = Path(path)
    if path.is_file() and path.suffix == ".safetensors":
        raise BadInput(f"{path}: is a checkpoint, no bundle; make one with: edge-vss export {path} -o NAME.bundle")
    if not path.exists():
        named = str(path).startswith("zoo:")
        source, made = (path, "NAME.bundle") if named else ("zoo:clockwork-street", path)
        raise BadInput(f"{path}: no such bundle; make one with: edge-vss export {source} -o {made}")
    return Bundle(path, read_manifest(_read(path, MANIFEST, MAX_MANIFEST_BYTES), f"{path}/{MANIFEST}"))


def _read(root: Path, name: str, limit: int) -> bytes:
    """One file of a folder or zip, never more than one byte over ``limit``."""
    try:
        if root.is_dir():
            inside, file = root.resolve(), (root / name).resolve()
            if inside not in file.parents:
                raise BadInput(f"{root}: {name} leads out of the bundle")
            if file.exists() and not file.is_file():  # a pipe may never be opened
                raise BadInput(f"{root}: {name} is not a file")
            with file.open("rb") as handle:
                return handle.read(limit + 1)
        if root.exists() and not root.is_file():
            raise BadInput(f"{root}: is no bundle: neither a folder nor a whole zip")
        with zipfile.ZipFile(root) as archive:
            info = archive.getinfo(name)
            if info.compress_type != zipfile.ZIP_STORED:
                raise BadInput(f"{root}: {name} is compressed; a bundle is a folder or an uncompressed zip")
            if info.file_size > limit:
                raise BadInput(f"{root}: {name} is larger than declared")
            return archive.read(info)
    except FileNotFoundError:
        raise BadInput(f"{root}: {name} is missing") from None
    except KeyError:
        raise BadInput(f"{root}: {name} is missing") from None
    except zipfile.BadZipFile:
        raise BadInput(f"{root}: is no bundle: neither a folder nor a whole zip") from None
    except (OSError, NotImplementedError, RuntimeError) as error:
        raise BadInput(f"{root}: cannot read {name}: {error}") from None


def write_bundle(path: str | Path, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle whole: into a temporary folder beside ``path``, renamed when complete.

    An old bundle at ``path`` stays until the new one has taken its place. A ``path`` that ends in ``.zip`` becomes
    an uncompressed zip.

    Args:
        manifest: Its ``files`` are filled in here.
        files: Path inside the bundle -> bytes.

    Raises:
        BadInput: The manifest is inconsistent, ``path`` holds something that is not a bundle, or it is unwritable.
    """
    path = Path(path)
    records = {
        name: FileRecord(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in sorted(files.items())
    }
    manifest = msgspec.structs.replace(manifest, files=records)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    read_manifest(text, f"{path}/{MANIFEST}")
    check_target(path)
    with _replacing(path) as temporary:
        contents = {MANIFEST: text, **files}
        if path.suffix == ".zip":
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
                for name, data in contents.items():
                    archive.writestr(zipfile.ZipInfo(name), data)
        else:
            for name, data in contents.items():
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                (temporary / name).write_bytes(data)
    return Bundle(path, manifest)


def check_target(path: Path) -> None:
    """Refuse a place where no bundle can be written, before the work that makes one.

    Raises:
        BadInput: Something other than a bundle is there, or nothing can be written.
    """
    if path.is_dir() and any(path.iterdir()) and not (path / MANIFEST).is_file():
        raise BadInput(f"{path}: is a folder that holds no bundle; choose another output")
    if path.is_file() and path.suffix != ".zip":
        raise BadInput(f"{path}: is a file; choose another output")
    if path.is_dir() and (foreign := _foreign(path)):
        raise BadInput(
            f"{path}: holds {foreign}, which is no part of the bundle and would go with it; move it away first"
        )
    check_place(path)


def _foreign(path: Path) -> str:
    """A file of a bundle's folder that its manifest does not name; nothing where the manifest is damaged."""
    try:
        known = {MANIFEST, *json.loads((path / MANIFEST).read_bytes())["files"]}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""
    inside = (file.relative_to(path).as_posix() for file in sorted(path.rglob("*")) if not file.is_dir())
    return next((name for name in inside if name not in known), "")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling of ``path`` that takes its place at the end, or is removed on any error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    except OSError as error:
        raise BadInput(f"{path}: cannot write here: {error.strerror or error}") from None
    try:
        fresh = holder / "new"
        if path.suffix != ".zip":
            fresh.mkdir()
        yield fresh
        if path.is_dir():
            path.rename(holder / "old")
        fresh.replace(path)
    except OSError as error:
        if (holder / "old").exists() and not path.exists():
            (holder / "old").rename(path)
        raise BadInput(f"{path}: cannot write here: {error.strerror or error}") from None
    finally:
        shutil.rmtree(holder, ignore_errors=True)
