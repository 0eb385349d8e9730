"""Prints the result of the latest run of digits.py, by upstream's Client.

    python examples/show_result.py

After a run on AWS Batch it reads from S3, so the Metaflow settings must be those of the run; for the embedded stack
`eval "$(ferroflow dev env)"` has them.
"""

from metaflow import Flow, namespace
from metaflow.exception import MetaflowNotFound


def main():
    namespace(None)
    try:
        run = Flow("DigitsFlow").latest_successful_run
    except MetaflowNotFound:
        run = None
    if run is None:
        raise SystemExit("no run of DigitsFlow has been successful yet: ferroflow examples/digits.py run")
    print("%s, finished at %s" % (run.pathspec, run.finished_at))
    for k, accuracy in sorted(run.data.accuracies.items()):
        mark = "  <- best" if k == run.data.best else ""
        print("%3d neighbours: %5.1f%% right%s" % (k, 100 * accuracy, mark))
    for name in ("start", "evaluate", "choose", "end"):
        for task in run[name]:
            job = task.metadata_dict.get("aws-batch-job-id")
            place = "job " + job if job else "a process of this machine"
            print("    %s ran as %s" % (task.pathspec, place))


if __name__ == "__main__":
    main()
