"""Launches in bad weather: whether the promises of docs/launch-protocol.md hold when much goes wrong.

    python benches/weather.py day [--seeds 1,2,3] [--width 1000]    a wide foreach while AWS refuses, forgets and reclaims
    python benches/weather.py kills [--cuts 200] [--seed 1]          launchers killed at random instants, and attached to
    python benches/weather.py sleepers [--cuts 100] [--seed 1]       launchers put to sleep, taken over from, and woken

Each run has an embedded stack of its own that plays its jobs (`ferroflow dev up --simulate`), so that a small machine does for
many of them; what is not on AWS Batch are processes as ever. `kills --real` kills launchers of tests/flows/halfway.py, whose
jobs are processes, too. Seeds decide what is drawn, and when; how far a launcher is by then is the machine's affair.

Ends with 1 if a run does not come to its end, upstream's Client misses a task, a task began twice in one attempt, more was
submitted again than there were answers that told nothing, or `ferroflow dev check-history` finds something; such a run's folder
is kept. Needs a Python with metaflow and boto3, and the binary: $FERROFLOW_BIN or `ferroflow` on PATH. Linux only.
"""

import argparse
import concurrent.futures
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter

from story import DEADLINE_S, FERROFLOW, Story

# Of Batch, what a launcher calls.
BATCH = ["SubmitJob", "DescribeJobs", "ListJobs", "TerminateJob", "DescribeJobQueues", "RegisterJobDefinition"]
READS = ["GetObject", "HeadObject", "ListObjectsV2"]
# The flow of a day, and of what is cut; see tests/flows.
WIDE, PHASES, REAL = "simulated.py", "phases.py", "halfway.py"
NO_JOB, OVER, FENCED = "has no job on AWS Batch", "has ended (done)", "no longer drives the run"
AT_WORK = re.compile(r"Attached:|status SUBMITTED")
PARTS = ["both", "both", "engine", "host"]


def main():
    options = arguments()
    begun = time.monotonic()
    total, complaints = Counter(), 0
    with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
        for name, seen, found in pool.map(lambda tale: tell(options, *tale), options.tales(options)):
            total += seen
            complaints += len(found)
            print("%s: %s" % (name, words(seen)), flush=True)
            for text in found:
                print("%s: %s" % (name, text), flush=True)
    print("in all: %s, %d complaints, %.0f s" % (words(total), complaints, time.monotonic() - begun))
    sys.exit(1 if complaints else 0)


def words(seen):
    return ", ".join("%d %s" % (count, what) for what, count in seen.items())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(required=True, metavar="day|kills|sleepers")
    day = kinds.add_parser("day")
    day.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[1, 2, 3])
    day.add_argument("--width", type=int, default=1000)
    day.add_argument("--array-min", default="8", help="from how many siblings on arrays are made, or off")
    day.set_defaults(tales=lambda o: [("day %d" % seed, a_day, (seed, o.width, o.array_min)) for seed in o.seeds])
    for name, cuts, tale in (("kills", 200, kills), ("sleepers", 100, sleepers)):
        kind = kinds.add_parser(name)
        kind.add_argument("--cuts", type=int, default=cuts, help="how many in all")
        kind.add_argument("--each", type=int, default=5, help="how many of one run")
        kind.add_argument("--seed", type=int, default=1)
        kind.add_argument("--real", action="store_true", help="jobs are processes")
        kind.set_defaults(tales=lambda o, name=name, tale=tale: cut_runs(o, name, tale))
    for kind in kinds.choices.values():
        kind.add_argument("--at-once", type=int, default=1, help="runs at the same time")
    options = parser.parse_args()
    if not FERROFLOW:
        parser.error("no binary: set FERROFLOW_BIN")
    return options


def cut_runs(options, name, tale):
    """A run that ends before all its cuts have come has fewer of them."""
    runs = -(-options.cuts // options.each)
    return [("%s %d.%d" % (name, options.seed, n), tale, (n, options)) for n in range(1, runs + 1)]


def tell(options, name, tale, arguments):
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="ferroflow-weather-", dir=memory)
    seen = Counter(runs=1)
    try:
        found = list(tale(folder, seen, *arguments))
    except RuntimeError as error:
        found = [str(error)]
    if found:
        found.append("its folder is %s" % folder)
    else:
        shutil.rmtree(folder)
    return name, seen, found


# --- a day ---


def weather(seed, reclaims=0.2, s3_client=None):
    """30 % throttles, 10 % 5xx, half of them after the effect, 5 % lost replies to SubmitJob, 20 % of the hosts."""
    of_s3 = {"client": s3_client} if s3_client else {}

    def now_and_then(operation, probability, fault, **more):
        return dict({"operation": operation, "seed": seed, "probability": probability, "fault": fault}, **more)

    def refusal(when, status, code):
        return {when: {"status": status, "code": code}}

    yield now_and_then("SubmitJob", 0.05, "lose_reply")
    for operation in BATCH:
        yield now_and_then(operation, 0.3, refusal("refuse", 429, "TooManyRequestsException"))
        yield now_and_then(operation, 0.05, refusal("refuse", 500, "ServerException"))
        yield now_and_then(operation, 0.05, refusal("refuse_after_effect", 503, "ServiceUnavailable"))
    for operation in READS + ["PutObject"]:
        yield now_and_then(operation, 0.05, refusal("refuse", 503, "SlowDown"), **of_s3)
    yield now_and_then("PutObject", 0.05, refusal("refuse_after_effect", 503, "SlowDown"), **of_s3)
    if reclaims:
        yield now_and_then("StartJob", reclaims, {"lose_host": 1}, subject="-work-", at_most_per_subject=3)


def a_day(folder, seen, seed, width, array_min):
    steps = {
        "work": {"next": ["join"], "seconds": {"from": 2, "to": 6, "seed": seed}},
        "join": {"next": ["end"], "joins_foreach": True},
    }
    with Story(folder, WIDE, weather(seed), steps, {"FERROFLOW_ARRAY_MIN": array_min}) as story:
        launcher = story.begin("--width", str(width), "--max-workers", str(width), "--max-num-splits", str(width))
        if launcher.wait(3600) != 0:
            yield "the run failed:\n" + launcher.log()[-3000:]
        yield from held_against(story, seen, {"work": width}, 0, "--max-workers", str(width))
        seen["reclaimed"] = sum("lose_host" in fault["fault"] for _, fault in story.history("fault"))
        seen["faults"] = sum(1 for _ in story.history("fault"))


def held_against(story, seen, widths, cuts, *options):
    successful, steps = story.client()
    if not successful or any(steps.get(step) != [width, width] for step, width in widths.items()):
        yield "upstream sees %s, %s" % (successful, steps)
    made, again, unknown = story.submissions()
    seen.update({"jobs": made, "submitted again": again, "unknown replies": unknown})
    if again > unknown + cuts:
        yield "%d jobs were submitted again, after %d unknown replies and %d cuts" % (again, unknown, cuts)
    yield from story.complaints(*options)


# --- cuts ---


class Cut:
    """A run that is cut: its shape, and when and where, by the seed."""

    def __init__(self, n, options):
        self.chance = random.Random("%d/%d" % (options.seed, n))
        self.cuts, self.real = options.each, options.real
        self.width = self.chance.choice([12, 20, 40])
        self.workers = self.chance.choice([8, 24, 100])
        self.splits = self.chance.choice([[2, 3], [4, 2]])
        self.variables = {}
        if self.chance.random() < 0.5:
            self.variables["FERROFLOW_ARRAY_MIN"] = self.chance.choice(["off", "2"])
        if self.chance.random() < 0.5:
            self.variables["FERROFLOW_LEASE"] = "20s"
        # Tasks of this machine would wait long for upstream's own retries.
        bad = list(weather(n, self.chance.choice([0, 0.2]), "aws-sdk-rust"))
        self.rules = bad if self.chance.random() < 0.4 else []

    def story(self, folder):
        if self.real:
            return Story(folder, REAL, self.rules, None, self.variables)
        return Story(folder, PHASES, self.rules, self.steps(), self.variables)

    def steps(self):
        def seconds(longest):
            return {"from": 0.2, "to": longest, "seed": self.chance.randrange(1000)}

        outer, inner = self.splits
        longest = self.chance.choice([1, 4])
        return {
            "work": {"next": ["join"], "seconds": seconds(longest), "fail": self.chance.choice([0, 3])},
            "nest": {"next": ["outer"], "seconds": seconds(1), "foreach": {"variable": "more", "splits": outer}},
            "outer": {"next": ["inner"], "seconds": seconds(2), "foreach": {"variable": "more", "splits": inner}, "fail": 1},
            "inner": {"next": ["inner_join"], "seconds": seconds(longest)},
            "inner_join": {"next": ["outer_join"], "joins_foreach": True},
            "outer_join": {"next": ["meet"], "joins_foreach": True},
        }

    def options(self):
        return ["--word", "hello"] if self.real else ["--width", str(self.width), "--max-workers", str(self.workers)]

    def widths(self):
        if self.real:
            return {"work": 2, "join": 1, "end": 1}
        outer, inner = self.splits
        each = {"work": self.width, "outer": outer, "inner": outer * inner, "inner_join": outer}
        return dict(each, **dict.fromkeys(["start", "fan", "join", "nest", "outer_join", "meet", "end"], 1))

    def wait(self, launcher):
        """For the next instant. Whether the launcher lived until then."""
        if self.chance.random() < 0.2:
            return sleeps(launcher, self.chance.uniform(0, 5))  # before it has a job, as a rule
        while launcher.status() is None and not AT_WORK.search(launcher.log()):
            time.sleep(0.05)
        return sleeps(launcher, self.chance.uniform(0, 5))


def sleeps(launcher, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if launcher.status() is not None:
            return False
        time.sleep(0.01)
    return launcher.status() is None


def kills(folder, seen, n, options):
    cut = Cut(n, options)
    with cut.story(folder) as story:
        launcher = story.begin(*cut.options())
        while True:
            if seen["killed"] < cut.cuts and cut.wait(launcher):
                launcher.kill(cut.chance.choice(PARTS))
                seen["killed"] += 1
            elif is_over(launcher, launcher.wait()):
                break
            launcher = go_on(story, cut, launcher, seen)
        yield from held_against(story, seen, cut.widths(), seen["killed"])


def is_over(launcher, status):
    """Whether the run has ended well; not if there was nothing to take over."""
    log = launcher.log()
    if status == 0 or OVER in log:
        return True  # if not by this launcher: the one before was killed after its last word
    if NO_JOB in log:
        return False
    raise RuntimeError("%s ended with %d:\n%s" % (" ".join(launcher.words), status, log[-3000:]))


def go_on(story, cut, launcher, seen):
    """A run that has no job yet is begun anew."""
    if NO_JOB in launcher.log() or story.run() is None:
        seen["begun anew"] += 1
        return story.begin(*cut.options())
    return story.attach()


def sleepers(folder, seen, n, options):
    cut = Cut(n, options)
    with cut.story(folder) as story:
        launcher, asleep = story.begin(*cut.options()), []
        try:
            while True:
                if seen["put to sleep"] < cut.cuts and cut.wait(launcher):
                    launcher.stop(cut.chance.choice(PARTS))
                    asleep.append((time.monotonic() + cut.chance.uniform(0, 8), launcher))
                    next_one = take_over(story, launcher, asleep)
                    if next_one is None:
                        asleep.pop()
                        launcher.wake()
                        continue
                    seen["put to sleep"] += 1
                    launcher = next_one
                elif is_over(launcher, attend(launcher, asleep)):
                    break
        finally:
            for _, sleeper in asleep:
                sleeper.wake()
        for _, sleeper in asleep:
            seen["fenced"] += is_fenced(sleeper, sleeper.wait())
        yield from held_against(story, seen, cut.widths(), seen["put to sleep"])


def take_over(story, launcher, asleep):
    """The next launcher; None while there is nothing to take."""
    next_one = story.attach("--take-over")
    while next_one and next_one.status() is None and "Attached:" not in next_one.log():
        wake(asleep)
        time.sleep(0.05)
    if next_one is None or NO_JOB in next_one.log():
        return None
    return next_one


def wake(asleep):
    for at, sleeper in asleep:
        if time.monotonic() > at and sleeper.asleep:
            sleeper.wake()


def attend(launcher, asleep):
    """Waits for its end, and wakes the others when their times have come."""
    end = time.monotonic() + DEADLINE_S
    while launcher.status() is None and time.monotonic() < end:
        wake(asleep)
        time.sleep(0.05)
    return launcher.wait(0.1)


def is_fenced(launcher, status):
    log = launcher.log()
    if FENCED not in log and status != 0:
        raise RuntimeError("%s, put to sleep, ended with %d:\n%s" % (" ".join(launcher.words), status, log[-3000:]))
    return FENCED in log


if __name__ == "__main__":
    main()
