"""A module that starts a thread when it is imported: such a process cannot be forked safely."""

import threading

from metaflow import FlowSpec, step

ready = threading.Event()
threading.Thread(target=ready.set, daemon=True).start()
waiting = threading.Thread(target=threading.Event().wait, daemon=True)
waiting.start()


class ImportThreadFlow(FlowSpec):
    @step
    def start(self):
        self.ready = ready.wait(60)
        self.alive = waiting.is_alive()
        self.next(self.end)

    @step
    def end(self):
        assert self.ready and self.alive


if __name__ == "__main__":
    ImportThreadFlow()
