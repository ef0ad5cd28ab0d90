"""Data sets that come as one official archive: found, unpacked, fetched and repaired alike."""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.common.errors import DataProblem
from benchmarks.data.basics import Report, silent
from benchmarks.data.datasets.base import Dataset
from benchmarks.data.sources.download import download, exclusive, verify
from benchmarks.data.sources.unpack import unpacked


@dataclass(frozen=True, kw_only=True)
class ArchiveFacts:
    """What identifies an official archive and says where it can be had.

    Attributes:
        folder: where its files belong, below the folder of all data sets.
        archive: the archive's file name.
        archive_md5: its digest.
        archive_size: its size in bytes.
        archive_holds: the folder that unpacking makes, relative to `folder`; "" for itself.
        mirrors: where the archive can be had, in the order in which they are tried.
        source: where to look for it; part of the messages.
    """

    folder: str
    archive: str
    archive_md5: str
    archive_size: int
    archive_holds: str = ""
    mirrors: tuple[str, ...]
    source: str


class ArchiveDataset(Dataset):
    """A data set from one archive; a subclass states facts and reads the files.

    The archive belongs beside the folder that unpacking makes.
    """

    facts: ClassVar[ArchiveFacts]
    lock_name: ClassVar[str] = ""
    """What data sets from the same archive share, so that one of them brings it at a time; empty
    for the data set's own name."""

    @property
    @abstractmethod
    def marker_files(self) -> Collection[str]:
        """Names of the files by which the official folder is known, whatever it is called."""

    def check(self, target: Path, root: Path) -> None:
        """Raise a DataProblem if what unpacking makes, `target`, has to be brought again.

        A subclass may look at the files too, if none is in a folder below: `bring` then repairs.
        """
        if not target.is_dir():
            raise self._absent(target, root)

    def folder(self, root: Path) -> Path:
        """Return where the official files are or belong: `root` itself or a folder in it."""
        name = self.facts.folder
        is_root = root.name == name or any((root / file).is_file() for file in self.marker_files)
        return root if is_root else root / name

    def target(self, root: Path) -> Path:
        """Return the folder that unpacking makes."""
        return self.folder(root) / self.facts.archive_holds

    def unpack(self, root: Path) -> Path:
        """Return the official folder; an archive without it is unpacked once.

        Raises:
            DataProblem: neither is here, or the archive is damaged.
        """
        if not self.target(root).is_dir():
            self._bring(root, (), silent)
        return self.folder(root)

    def bring(self, root: Path, report: Report) -> Path:
        """Return the official folder, downloaded and unpacked if `check` finds a problem.

        Raises:
            DataProblem: it cannot be had.
        """
        if self._problem(self.target(root), root):
            self._bring(root, self.facts.mirrors, report)
        return self.folder(root)

    def remedy(self, root: Path) -> str:
        """Return what the user can do, as the end of the sentence "Delete it and ..."."""
        if not self.facts.mirrors:
            return "bring the official files"
        return f"run `bench data {self.name} --data {root}` to fetch it again"

    def _bring(self, root: Path, mirrors: Sequence[str], report: Report) -> None:
        """Unpack the archive, downloaded if there are mirrors."""
        facts, target = self.facts, self.target(root)
        archive = target.parent / facts.archive
        if not mirrors and not archive.is_file():
            raise self._absent(target, root)
        with exclusive(archive.parent, self.lock_name or self.name, report):
            # Another process may have brought it while this one waited.
            problem = self._problem(target, root)
            if problem is None:
                return
            report(str(problem) if target.is_dir() else f"{self.name}: not in {root} yet")
            if mirrors:
                download(mirrors, archive, facts.archive_md5, facts.archive_size, report)
            else:
                verify(archive, facts.archive_md5, self.remedy(root))
            self._move_files(archive, target, root)

    def _move_files(self, archive: Path, target: Path, root: Path) -> None:
        """Bring a verified archive's files to `target`, each whole or not at all."""
        with unpacked(archive) as fresh:
            source = fresh / Path(self.facts.folder, self.facts.archive_holds).name
            self.check(source, root)
            if not target.exists():
                source.rename(target)
                return
            for file in source.iterdir():
                file.replace(target / file.name)

    def _problem(self, target: Path, root: Path) -> DataProblem | None:
        try:
            self.check(target, root)
        except DataProblem as problem:
            return problem
        return None

    def _absent(self, target: Path, root: Path) -> DataProblem:
        command = f"Run `bench data {self.name} --data {root}`, or put"
        return DataProblem(
            f"{self.name} is not here: looked for {target} and "
            f"{target.parent / self.facts.archive}. {command if self.facts.mirrors else 'Put'} "
            f"the official files there. {self.facts.source}"
        )
