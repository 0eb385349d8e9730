"""A flow of one task, which holds 600 MB for a while, and then says in which attempt it did."""

import time

from metaflow import FlowSpec, current, step

HELD_MB = 600


class HungryFlow(FlowSpec):
    @step(start=True, end=True)
    def only(self):
        held = bytearray(b"x") * (HELD_MB << 20)
        time.sleep(3)
        self.attempt = current.retry_count
        print("held", len(held) >> 20)


if __name__ == "__main__":
    HungryFlow()
