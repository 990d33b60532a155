"""Workers on a Dask cluster: each Dask worker keeps workers of this program and feeds them."""

import asyncio
import contextlib
import logging
import os
import pickle
import queue
import threading
import uuid
from collections.abc import Iterator, Mapping
from subprocess import TimeoutExpired
from time import monotonic
from typing import Any

import dask

from dvc_parallel import worker
from dvc_parallel.errors import InputError, first_sentence, in_one_line
from dvc_parallel.worker import Handle, Job, Message, Outcome
from dvc_parallel.workspace import GRACE

# Dask would log what this program reports itself.
dask.config.set({"logging.distributed": "critical"})

from distributed import Client, Future, get_worker  # noqa: E402
from distributed.comm import connect  # noqa: E402

PATIENCE = 10  # seconds that a scheduler has to answer, or to show a worker
# Dask sets these for its workers: a stage computes with what the user has set.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextlib.contextmanager
def open_cluster(
    address: str, environment: Mapping[str, str]
) -> Iterator[tuple["ClusterCrew", int]]:
    """The cluster whose scheduler has this address, and its cores.

    Raises:
        InputError: no scheduler answers at that address, or it has no workers.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        # First alone: a client that fails to connect stays half open until it is collected.
        asyncio.run(_reach(address))
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address} ({first_sentence(error)}): "
            "start one, or leave out --scheduler"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise InputError(
                f"the Dask scheduler at {address} has no workers: "
                f"start some with `dask worker {address}`"
            ) from None
        with contextlib.closing(ClusterCrew(client, environment)) as crew:
            yield crew, max(1, sum(client.nthreads().values()))


async def _reach(address: str) -> None:
    comm = await connect(address, timeout=PATIENCE)
    await comm.close()


class ClusterCrew:
    """Runs each stage as a task of a Dask cluster."""

    def __init__(self, client: Client, environment: Mapping[str, str]) -> None:
        self._client = client
        self._environment = dict(environment)
        self._events: queue.SimpleQueue[tuple[str, Message]] = queue.SimpleQueue()
        self._futures: dict[str, Future] = {}
        self._places: dict[str, str] = {}  # the Dask worker that each stage was started on
        self._topic = f"dvc-parallel-{uuid.uuid4().hex}"
        client.subscribe_topic(self._topic, lambda event: self._events.put(event[1]))

    def expect(self, count: int) -> None:
        """Nothing: Dask knows where there is room."""

    def start(self, name: str, job: Job) -> None:
        """Have a stage run."""
        future = self._client.submit(
            _serve,
            name,
            job,
            os.getcwd(),  # noqa: PTH109
            self._environment,
            self._topic,
            key=f"{name}-{self._topic}",
            pure=False,
        )
        self._futures[name] = future
        future.add_done_callback(lambda _: self._events.put((name, Message("over", None))))

    def next(self, timeout: float) -> tuple[str, Message] | None:
        """Wait so many seconds for the next message about a stage."""
        while True:
            try:
                name, (kind, content) = self._events.get(timeout=timeout)
            except queue.Empty:
                return None
            message = Message(kind, content)
            if message.kind == "started":
                before = self._places.get(name)
                self._places[name] = message.content
                if before is None:
                    continue
                return name, Message("line", f"starts again: worker {before} is lost")
            if message.kind == "over":
                self._places.pop(name, None)  # unknown if the stage never started
                try:
                    outcome = self._futures.pop(name).result()
                except Exception as error:  # whatever a worker or Dask itself raised
                    outcome = Outcome(in_one_line(error))
                return name, Message("outcome", outcome)
            if message.kind not in ("ended", "claim"):
                return name, message

    def close(self) -> None:
        """Have the Dask workers end what they run, and wait for it."""
        self._client.cancel(list(self._futures.values()), force=True)
        deadline = monotonic() + GRACE + 1
        while self._places and monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                name, message = self._events.get(timeout=0.1)
                if message[0] == "ended":
                    self._places.pop(name, None)
        self._client.unsubscribe_topic(self._topic)
        with contextlib.suppress(Exception):  # a Dask worker that is lost has nothing to dismiss
            self._client.run(_dismiss, os.getcwd())  # noqa: PTH109


# Of a Dask worker's process: a folder to its run's topic and idle workers.
_idle: dict[str, tuple[str, list[Handle]]] = {}


def _dismiss(folder: str) -> None:
    """End the idle workers of a folder."""
    _, handles = _idle.pop(folder, ("", []))
    for handle in handles:
        handle.jobs.close()
        handle.process.wait()


def _serve(name: str, job: Job, folder: str, environment: Mapping[str, str], topic: str) -> Outcome:
    """Run a stage on a Dask worker, in a process that is kept for the run's other stages."""
    place = get_worker()
    key = place.get_current_task()

    def tell(kind: str, content: Any) -> None:
        place.log_event(topic, (name, (kind, content)))

    def is_wanted() -> bool:
        """False if the client is gone or cancelled this, or if the Dask worker is closing."""
        task = place.state.tasks.get(key)
        return (
            task is not None
            and task.state == "executing"
            and place.status.name not in ("closing", "closed", "failed")
        )

    tell("started", place.address)
    own = {**environment, **os.environ}
    for variable in THREADS:
        own.pop(variable, None)
        if variable in environment:
            own[variable] = environment[variable]
    if _idle.get(folder, (topic,))[0] != topic:
        _dismiss(folder)  # those of a run that was killed
    _, idle = _idle.setdefault(folder, (topic, []))
    handle = idle.pop() if idle else worker.start(folder, own)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            if not is_wanted() and not over.is_set():
                handle.jobs.close()
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        worker.send(handle.jobs, job)
        while True:
            kind, content = pickle.load(handle.messages)  # noqa: S301
            if kind == "outcome":
                idle.append(handle)
                return content
            tell(kind, content)
    except (OSError, EOFError, ValueError, pickle.UnpicklingError):
        with contextlib.suppress(TimeoutExpired):
            handle.process.wait(GRACE)
        return Outcome(f"its worker ended with code {handle.process.poll()}")
    finally:
        over.set()
        tell("ended", None)
