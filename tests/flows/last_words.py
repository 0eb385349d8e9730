"""What is left to do when a task's process ends: buffers of files and of the C library, finalizers, objects."""

import ctypes
import gc
import os
import weakref

from metaflow import FlowSpec, step

kept = []


class Talks:
    def __init__(self, text):
        self.text = text

    def __del__(self):
        os.write(1, (self.text + "\n").encode())


class LastWordsFlow(FlowSpec):
    @step
    def start(self):
        file = open("left-open", "w")
        file.write("flushed at the end\n")
        kept.append(file)
        ctypes.CDLL(None).printf(b"from the C library\n")
        self.next(self.finalizers)

    @step
    def finalizers(self):
        gc.disable()  # when it collects is a matter of chance
        with open("left-open") as file:
            assert file.read() == "flushed at the end\n"
        thing = type("Thing", (), {})()
        weakref.finalize(thing, print, "from a finalizer")
        kept.append(thing)
        cycle = [Talks("from a cycle")]
        cycle.append(cycle)
        self.next(self.objects)

    @step
    def objects(self):
        kept.append(Talks("from an object"))
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    LastWordsFlow()
