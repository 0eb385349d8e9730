"""step_options.py against click itself."""

import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from ferroflow.step_options import StepOptions
from metaflow._vendor import click


def command():
    @click.command()
    @click.argument("step-name")
    @click.argument("url")
    @click.option("--task-id")
    @click.option("--split-index")
    @click.option("-n", "--retry-count", default=0)
    @click.option("--efa", type=int)
    @click.option("--ratio", type=float)
    @click.option("--pair", nargs=2)
    @click.option("--tag", multiple=True)
    @click.option("--tmpfs/--no-tmpfs")
    @click.option("-v", "--verbose", count=True)
    @click.option("--kind", type=click.Choice(["none", "control"]))
    @click.option("--queue", callback=lambda _context, _param, value: value and value.upper())
    @click.option("--hidden", expose_value=False)
    def step(**_given):
        pass

    return step


VALUES = ["1", "23", "-4", "", "x", "none", "control", "0.5", "--task-id", "--tag", "a b", "é", "--", "-v", "--efa=3"]
VALUED = ["--task-id", "--split-index", "-n", "--retry-count", "--efa", "--ratio", "--tag", "--kind", "--queue", "--hidden"]


def some_words(chance):
    words = []
    for _ in range(chance.randrange(8)):
        kind = chance.randrange(12)
        if kind < 8:
            words += [chance.choice(VALUED), chance.choice(VALUES)]
        elif kind == 8:
            words += ["--pair", chance.choice(VALUES), chance.choice(VALUES)]
        elif kind == 9:
            words.append(chance.choice(["--tmpfs", "--no-tmpfs", "-v", "-vv"]))
        elif kind == 10:
            words.append("--task-id=" + chance.choice(VALUES))
        else:
            words.append(chance.choice(VALUES))
    at = chance.randrange(len(words) + 1)
    return words[:at] + ["work", "s3://bucket"] + words[at:]


def others(chance, words):
    """The same with some words exchanged, as the next task's may be."""
    return [chance.choice(VALUES) if chance.randrange(4) == 0 else word for word in words]


def answer(parse):
    try:
        return parse()
    except Exception as error:
        return type(error).__name__, str(error)


class AsClick(unittest.TestCase):
    def test_random_command_lines(self):
        chance = random.Random(1)
        kept, compared, step = 0, 0, command()
        while compared < 6000:
            options = StepOptions(step, "PREFIX")
            words = some_words(chance)
            for _ in range(4):
                expected = answer(lambda: step.make_context("step", list(words), auto_envvar_prefix="PREFIX").params)
                known = options._parsed.get("work")
                kept += bool(known and known.with_other_values(words))
                self.assertEqual(answer(lambda: options.parse("work", words)), expected, words)
                compared += 1
                words = others(chance, words)
        self.assertGreater(kept, 300)

    def test_click_parses_the_first_task_of_a_step_only(self):
        step = command()
        calls, make_context = [], step.make_context
        step.make_context = lambda *args, **kwargs: calls.append(1) or make_context(*args, **kwargs)
        options = StepOptions(step, "PREFIX")
        for i in range(50):
            words = ["work", "s3://bucket", "--task-id", str(i), "--split-index", str(i), "-n", "1", "--tag", "a"]
            given = options.parse("work", words)
            self.assertEqual((given["task_id"], given["retry_count"]), (str(i), 1))
        self.assertEqual(len(calls), 1)


if __name__ == "__main__":
    unittest.main()
