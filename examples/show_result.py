"""Prints the result of the latest run of digits.py, by upstream's Client.

    python examples/show_result.py
"""

from metaflow import Flow


def main():
    run = Flow("DigitsFlow").latest_successful_run
    if run is None:
        raise SystemExit("no run of DigitsFlow has been successful yet")
    print("%s, finished at %s" % (run.pathspec, run.finished_at))
    for k, accuracy in sorted(run.data.accuracies.items()):
        mark = "  <- best" if k == run.data.best else ""
        print("%3d neighbours: %5.1f%% right%s" % (k, 100 * accuracy, mark))
    for task in run["evaluate"]:
        print("    %s said: %s" % (task.pathspec, task.stdout.strip()))


if __name__ == "__main__":
    main()
