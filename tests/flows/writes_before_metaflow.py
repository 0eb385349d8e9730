"""A file that writes before it imports Metaflow."""

print("loading")

from metaflow import FlowSpec, step


class WritesBeforeMetaflowFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        print("in end")


if __name__ == "__main__":
    WritesBeforeMetaflowFlow()
