"""Run a batch: clean each file, whatever is wrong with the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_periodic_denoise.batch.clean import Cleaner
from napari_periodic_denoise.batch.ledger import Ledger, State, stamp_of
from napari_periodic_denoise.io.atomic import ClaimedError, claim
from napari_periodic_denoise.io.images import one_line
from napari_periodic_denoise.runtime.workers import Workers, WorkersGoneError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_periodic_denoise.batch.plan import Job
    from napari_periodic_denoise.batch.progress import Display, Tell
    from napari_periodic_denoise.records.report import Report


@dataclass(frozen=True, slots=True)
class Batch:
    """Files to clean, and how.

    Attributes
    ----------
    jobs : list of Job
    refused : dict of Path to ValueError
        Of `plan.check_targets`.
    cleaner : Cleaner
    ledger : Ledger
    display : Display
    check : callable
        Raises an exception if the run is to end.
    report : Report or None
    overwrite : bool
        Whether files that exist may be replaced.
    resume : bool
        Whether to leave out what is done already.
    """

    jobs: list[Job]
    refused: dict[Path, ValueError]
    cleaner: Cleaner
    ledger: Ledger
    display: Display
    check: Callable[[], None]
    report: Report | None = None
    overwrite: bool = False
    resume: bool = False

    def run(self, files: Executor | None = None) -> bool:
        """Clean all files, and return whether all went well.

        Parameters
        ----------
        files : Executor, optional
            Cleans several files at a time; without it one after the other.
        """
        is_well = True
        try:
            busy, went_well = self._pass(self.jobs, files, wait=False)
            is_well &= went_well
            for job in busy:
                self.display.say(f"{job.source}: waiting for another run that cleans it")
            _, went_well = self._pass(busy, files, wait=True)
            is_well &= went_well
        except WorkersGoneError as error:
            self.display.say(f"error: {error}; the run has ended", error=True)
            is_well = False
        if self.report:
            try:
                self.report.finish(str(job.source) for job in self.jobs)
            except OSError as error:
                is_well = False
                self.display.say(f"error: {self.report.path}: {reason_of(error)}", error=True)
        return is_well

    def _pass(
        self, jobs: list[Job], files: Executor | None, *, wait: bool
    ) -> tuple[list[Job], bool]:
        """Clean some files; return those that another run cleans, and whether all went well."""
        busy, went_well = [], True
        for job, result in self._results(jobs, files, wait):
            try:
                summary = result()
            except WorkersGoneError:
                raise
            except ClaimedError:
                busy.append(job)
            except Exception as error:  # whatever is wrong with one file, the others are done
                went_well = False
                self.display.say(f"error: {job.source}: {reason_of(error)}", error=True)
            else:
                self.display.say(f"{job.source}: {summary}")
        return busy, went_well

    def _results(
        self, jobs: list[Job], files: Executor | None, wait: bool
    ) -> Iterator[tuple[Job, Callable[[], str]]]:
        count = len(self.jobs)
        labels = {job.source: f"{i}/{count} {job.source.name}" for i, job in enumerate(jobs, 1)}

        def do(job: Job) -> str:
            with self.display.job(labels[job.source]) as tell:

                def checked(done: int, total: int, message: str) -> None:
                    self.check()
                    tell(done, total, message)

                return self._do(job, checked, wait=wait)

        if files is None:
            for job in jobs:
                yield job, lambda job=job: do(job)  # type: ignore[misc]
            return
        begun: deque[tuple[Job, Future[str]]] = deque()
        under_way: set[Future[str]] = set()
        for job in jobs:
            begun.append((job, files.submit(do, job)))
            under_way.add(begun[-1][1])
            if len(under_way) == self.cleaner.workers.most_prepared:
                under_way = wait_for(under_way, return_when=FIRST_COMPLETED).not_done
            while begun and begun[0][1].done():
                done, future = begun.popleft()
                yield done, future.result
        for job, future in begun:
            yield job, future.result

    def _do(self, job: Job, tell: Tell, *, wait: bool) -> str:
        if job.source in self.refused:
            raise self.refused[job.source]
        if self._is_done(job):
            return self.ledger.state_of(job).value
        stamp = stamp_of(job.source)
        source = self.cleaner.open(job)
        with claim(job.cleaned, wait=wait):
            if self._is_done(job):  # by another run, since
                return self.ledger.state_of(job).value
            state = self.ledger.state_of(job)
            if not (self.overwrite or self.resume):
                for target in job.targets:
                    if target.exists():
                        raise ValueError(f"{target} exists already; --overwrite replaces it")

            def found(records: list[dict[str, Any]]) -> None:
                if self.report:
                    self.report.add(str(job.source), records)
                self.ledger.note(job, stamp)

            summary = self.cleaner.clean(source, job, tell, found)
        is_again = self.resume and state is State.CHANGED
        return f"changed: done again; {summary}" if is_again else summary

    def _is_done(self, job: Job) -> bool:
        return self.resume and self.ledger.state_of(job) in (State.DONE, State.UNKNOWN)


@contextmanager
def waiting_threads(workers: Workers) -> Iterator[tuple[Executor | None, Executor | None]]:
    """Have threads that wait for workers: with files, and with pieces of stacks.

    Parameters
    ----------
    workers : Workers
        Stopped, if the block ends with an error: nobody waits for what they are at.

    Yields
    ------
    tuple of Executor, or of None
        For files, and for pieces. They differ, as files wait for pieces. None for one worker.
    """
    if workers.count == 1:
        yield None, None
        return
    with ExitStack() as held:
        pools = [held.enter_context(ThreadPoolExecutor(workers.count)) for _ in range(2)]
        try:
            yield pools[0], pools[1]
        except BaseException:  # Ctrl-C too
            _cancel(pools)
            workers.stop()
            raise


def _cancel(pools: Iterable[Executor]) -> None:
    for pool in pools:
        pool.shutdown(wait=False, cancel_futures=True)


def reason_of(error: Exception) -> str:
    """Say in one line what is wrong, with the type of an error that nobody expected.

    Parameters
    ----------
    error : Exception
    """
    # RuntimeError is what torch raises when memory runs out
    if isinstance(error, OSError | ValueError | TypeError | RuntimeError | MemoryError):
        return one_line(error)
    return f"{type(error).__name__}: {one_line(error)}"
