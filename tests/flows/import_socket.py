"""A module that opens a socket when it is imported, as a client of a database would: tasks cannot share it."""

import socket

from metaflow import FlowSpec, step

here, there = socket.socketpair()


class ImportSocketFlow(FlowSpec):
    @step
    def start(self):
        here.sendall(b"start")
        self.next(self.end)

    @step
    def end(self):
        here.sendall(b"end")
        assert there.recv(100) == b"end"


if __name__ == "__main__":
    ImportSocketFlow()
