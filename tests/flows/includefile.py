"""Files that travel with the run: by default, named on the command line, and binary."""

from metaflow import FlowSpec, IncludeFile, step


class IncludeFileFlow(FlowSpec):
    text = IncludeFile("text", default="data/text.txt")
    named = IncludeFile("named", required=True)
    binary = IncludeFile("binary", is_text=False, default="data/bytes.bin")
    absent = IncludeFile("absent", required=False)

    @step
    def start(self):
        self.lines = self.text.splitlines()
        self.size = len(self.binary)
        print(self.lines[0])
        self.next(self.end)

    @step
    def end(self):
        assert self.lines[1] == "zweite Zeile: äöü"
        assert self.named.startswith("{")
        assert self.binary[:4] == b"\x00\x01\xfe\xff"
        assert self.absent is None


if __name__ == "__main__":
    IncludeFileFlow()
