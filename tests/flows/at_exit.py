"""The end of a task is the end of a Python process: exit handlers, buffers and threads that are no daemons."""

import atexit
import sys
import threading

from metaflow import FlowSpec, step


class AtExitFlow(FlowSpec):
    @step
    def start(self):
        atexit.register(print, "from an exit handler")
        sys.stdout.write("left in the buffer, ")
        self.next(self.threads)

    @step
    def threads(self):
        main = threading.main_thread()
        threading.Thread(target=lambda: (main.join(), print("from a thread after the main thread"))).start()
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    AtExitFlow()
