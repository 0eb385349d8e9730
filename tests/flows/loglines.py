"""20,000 log lines on both streams, and all that can be wrong with a line."""

import sys

from metaflow import FlowSpec, Parameter, step

ODD_LINES = [
    b"bytes that are not UTF-8: \xff\xfe\xc3(",
    b"a zero byte: [\x00]",
    b"",
    b"   spaces around   ",
    b"\ttabs\tinside\t",
    b"carriage return at the end\r",
    b"first\rsecond after a carriage return",
    b"colour: \x1b[31mred\x1b[0m",
    b"[MFLOG|0|2020-01-01T00:00:00.000001Z|task|1]already a log line",
    b"[![MFLOG|0|2020-01-01T00:00:00.000002Z|task|2]a log line to be persisted",
    b"[MFLOG|this only looks like one",
    b"unicode: \xe2\x98\x83 \xf0\x9f\x8e\x89",
    b"line separator inside: a\xe2\x80\xa8b\x0bc\x0cd",
    b"x" * 200_000,
]


class LogLinesFlow(FlowSpec):
    # Lines that look like Metaflow's own: on this machine upstream takes them for that, in a container it does not.
    lookalikes = Parameter("lookalikes", default=True)

    @step
    def start(self):
        for i in range(10_000):
            print("out", i)
            print("err", i, file=sys.stderr)
        self.next(self.odd)

    @step
    def odd(self):
        for stream in (sys.stdout.buffer, sys.stderr.buffer):
            for line in ODD_LINES:
                if self.lookalikes or b"MFLOG|" not in line:
                    stream.write(line + b"\n")
            stream.flush()
        self.next(self.silent)

    @step
    def silent(self):
        self.next(self.end)

    @step
    def end(self):
        sys.stdout.write("no newline at the end of stdout")
        sys.stderr.write("no newline at the end of stderr")


if __name__ == "__main__":
    LogLinesFlow()
