"""A flow of one task that holds 600 MB: in its first attempt until it is killed for that, a minute at most."""

import time

from metaflow import FlowSpec, current, step

HELD_MB = 600


class HungryFlow(FlowSpec):
    @step(start=True, end=True)
    def only(self):
        held = bytearray(b"x") * (HELD_MB << 20)
        deadline = time.monotonic() + 60
        while current.retry_count == 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        print("held", len(held) >> 20)


if __name__ == "__main__":
    HungryFlow()
