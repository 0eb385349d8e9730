"""What is beside the step when its code begins: bytecode, and the sidecars that upstream's @batch has started."""

import os

from metaflow import FlowSpec, step


class BesideFlow(FlowSpec):
    @step
    def start(self):
        # Not the processes: one ends by itself where there is no instance metadata.
        (batch,) = [deco for deco in type(self).start.decorators if deco.name == "batch"]
        sidecars = [batch._save_logs_sidecar, batch._spot_monitor_sidecar]
        started = [sidecar._sidecar_type for sidecar in sidecars if sidecar.is_active]
        files = [name for _, _, names in os.walk(os.environ["METAFLOW_EXTRACTED_ROOT"]) for name in names]
        print("bytecode: %s" % (sum(name.endswith(".pyc") for name in files) > 150))
        print("sidecars: %s" % " ".join(started))
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    BesideFlow()
