"""Tells handwritten-looking digits apart: draws noisy digits, tries several settings at once, keeps the best one.

    ferroflow examples/digits.py run --noise 0.2
    ferroflow examples/digits.py run --with batch

Needs nothing but Metaflow. On AWS Batch each step gets the processors and the memory that its @resources ask for.
"""

import random

from metaflow import FlowSpec, Parameter, resources, retry, step

GLYPHS = {
    0: "111101101101111",
    1: "010110010010111",
    2: "111001111100111",
    3: "111001111001111",
    4: "101101111001001",
    5: "111100111001111",
    6: "111100111101111",
    7: "111001001001001",
    8: "111101111101111",
    9: "111101111001111",
}


class DigitsFlow(FlowSpec):
    count = Parameter("count", help="digits to draw", default=600, type=int)
    noise = Parameter("noise", help="share of pixels that are flipped", default=0.15)
    seed = Parameter("seed", help="seed of the random numbers", default=7, type=int)

    @resources(cpu=1, memory=2000)
    @step
    def start(self):
        """Draws the digits and splits them into those to learn from and those to be asked about."""
        chance = random.Random(self.seed)
        digits = [self.draw(chance) for _ in range(self.count)]
        self.known, self.asked = digits[: self.count * 3 // 4], digits[self.count * 3 // 4 :]
        self.neighbours = [1, 3, 5, 9, 15]
        self.next(self.evaluate, foreach="neighbours")

    @retry(times=2)
    @resources(cpu=2, memory=3000)
    @step
    def evaluate(self):
        """One task for each number of neighbours that have a vote."""
        self.k = self.input
        right = sum(self.guess(pixels) == digit for digit, pixels in self.asked)
        self.accuracy = right / len(self.asked)
        print("with %d neighbours %.1f%% are right" % (self.k, 100 * self.accuracy))
        self.next(self.choose)

    @resources(cpu=1, memory=4000)
    @step
    def choose(self, inputs):
        self.accuracies = {i.k: i.accuracy for i in inputs}
        self.best = max(self.accuracies, key=self.accuracies.get)
        self.next(self.end)

    @step
    def end(self):
        print("best: %d neighbours, %.1f%% right" % (self.best, 100 * self.accuracies[self.best]))

    def draw(self, chance):
        digit = chance.randrange(10)
        pixels = [int(p) ^ (chance.random() < self.noise) for p in GLYPHS[digit]]
        return digit, pixels

    def guess(self, pixels):
        def distance(known):
            return sum(a != b for a, b in zip(known[1], pixels))

        votes = [digit for digit, _ in sorted(self.known, key=distance)[: self.k]]
        return max(votes, key=votes.count)


if __name__ == "__main__":
    DigitsFlow()
