"""Threads, and processes by both methods of multiprocessing, in a step."""

import concurrent.futures
import multiprocessing
import threading

from metaflow import FlowSpec, step


def double(x):
    return 2 * x


class WorkersInStepFlow(FlowSpec):
    @step
    def start(self):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            self.by_threads = list(pool.map(double, range(10)))
        self.threads = threading.active_count()
        self.next(self.forks)

    @step
    def forks(self):
        with multiprocessing.get_context("fork").Pool(2) as pool:
            self.by_forks = pool.map(double, range(10))
        self.next(self.spawns)

    @step
    def spawns(self):
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            self.by_spawns = list(pool.map(double, range(10)))
        with context.Manager() as manager:
            shared = manager.dict(a=1)
            self.shared = dict(shared)
        self.next(self.end)

    @step
    def end(self):
        assert self.by_threads == self.by_forks == self.by_spawns == [2 * x for x in range(10)]


if __name__ == "__main__":
    WorkersInStepFlow()
