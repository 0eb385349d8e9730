"""Steps on AWS Batch: what the engine is told, compared with what upstream's own process submits."""

import json
import os
import re
import unittest

from container import own_words, upstream_words
from fake_aws import FakeAws
from metaflow.plugins.aws.batch.batch_decorator import BatchDecorator
from support import HERE, PYTHON_DIR, FlowCase

BATCH = "batch:queue=queue,iam_role=arn:role"
HAS_TAGS = "aws_batch_tags" in BatchDecorator.defaults


class BatchCase(FlowCase):
    """Runs with S3 and AWS Batch of the test's own."""

    def setUp(self):
        super().setUp()
        self.aws = FakeAws()
        self.addCleanup(self.aws.close)

    def run_flow(self, flow, *args, **changes):
        return super().run_flow(flow, *args, **dict(self.aws.environment(), METAFLOW_DEFAULT_DATASTORE="s3", **changes))

    def ask(self, questions, *args, **changes):
        """Has attempts of BatchKinds prepared, and returns the answers."""
        flow = changes.pop("flow", "batch_kinds")
        words = changes.pop("words", "questions trampolines")
        path = os.path.join(self.folder, "questions")
        with open(path, "w") as file:
            json.dump(questions, file)
        changes.update(FAKE_ENGINE=words, FAKE_ENGINE_QUESTIONS=path)
        self.result = self.run_flow(flow, *(args or ("run",)), **changes)
        answers = self.messages("prepared") + self.messages("refused") + self.messages("prepared_siblings")
        self.assertEqual(len(answers), len(questions), self.result.all)
        return answers

    def places(self):
        """By (step, task, attempt): the place that the host told, and the job of upstream's."""
        found = {}
        for answer in self.messages("prepared"):
            if answer["place"]["kind"] == "batch":
                found[_identity(answer["place"]["parameters"])] = [answer["place"], None]
        for job in self.aws.jobs:
            found[_identity(job["parameters"])][1] = job
        return found

    def assert_all_as_upstream(self, count):
        places = self.places()
        self.assertEqual(len(places), count, self.result.all if hasattr(self, "result") else list(places))
        for place, job in places.values():
            self.assert_as_upstream(place, job)

    def assert_as_upstream(self, place, job):
        container = place["container"]
        self.assertEqual(own_words(container), upstream_words(job))
        self.assertEqual(place["parameters"], job["parameters"])
        self.assertEqual(place["tags"], job.get("tags", {}))
        ours = dict(container["environment"], **container["user_environment"])
        theirs = {item["name"]: item["value"] for item in job["containerOverrides"]["environment"]}
        for name in [name for name in theirs if name.startswith("METAFLOW_INPUT_PATHS_")]:
            del theirs[name]
        self.assertEqual(ours, theirs)


def _identity(parameters):
    return tuple(parameters["metaflow." + name] for name in ("step_name", "task_id", "retry_count"))


def _inputs(count):
    return ["RUN/work/%d" % ((i * 2654435761) % 10**12) for i in range(count)]


class AsUpstream(BatchCase):
    def test_run(self):
        arguments = ["--branch", "some_branch", "run", "--tag", "two words", "--namespace", "", "--with", BATCH]
        result = self.run_flow("batched", *arguments, FAKE_ENGINE="trampolines", METAFLOW_BATCH_EMIT_TAGS="1")
        self.assert_ok(result)
        self.assertIn('words: hello1dark "chocolate"80 hello2dark "chocolate"80', result.out)
        self.assertNotIn("ferroflow:", result.err)
        self.assert_all_as_upstream(6)
        self.assertEqual([place["kind"] for place in self.sent_places()], ["batch"] * 6)
        plan = self.messages("plan")[0]["plan"]
        self.assertEqual(plan["steps"]["work"]["batch"], True)
        self.assertEqual(plan["datastore"], {"kind": "s3", "root": "s3://bucket/some/prefix"})
        self.assertEqual(plan["s3"], {"endpoint": self.aws.url, "server_side_encryption": None, "ca_bundle": None})
        self.assertTrue(os.path.samefile(plan["metadata_root"], os.path.join(self.folder, ".metaflow")))

    def sent_places(self):
        return [answer["place"] for answer in self.messages("prepared")]

    def test_kinds(self):
        questions = [
            {"step": "plain", "input_paths": ["RUN/start/1"]},
            {"step": "plain", "input_paths": _inputs(5000), "split_index": 3},
            {"step": "rich", "input_paths": _inputs(2), "max_user_code_retries": 2},
            {"step": "shell", "input_paths": _inputs(1)},
        ]
        answers = self.ask(
            questions, "run", "--tag", "two words",
            METAFLOW_S3_SERVER_SIDE_ENCRYPTION="AES256",
            METAFLOW_SERVICE_INTERNAL_URL="http://inside/",
            METAFLOW_DEBUG_S3CLIENT="1",
            METAFLOW_DEFAULT_SECRETS_BACKEND_TYPE="inline",
            METAFLOW_DATATOOLS_CLIENT_PARAMS='{"verify": "/dev/null"}',
        )
        self.assert_all_as_upstream(4)
        plain, long, rich, shell = [answer["place"] for answer in answers]
        self.assertEqual(plain["container"]["command"][:3], ["python", "-u", "batch_kinds.py"])
        self.assertEqual(plain["container"]["user_environment"], {})
        self.assertTrue(plain["container"]["install"])
        self.assertNotIn("files", plain["container"])
        self.assertGreater(max(map(len, long["container"]["command"])), 30 * 1024)
        self.assertEqual(rich["container"]["command"][:6], ["uv", "run", "--no-sync", "python", "-u", "batch_kinds.py"])
        self.assertEqual(rich["container"]["environment"]["METAFLOW_TEMPDIR"], "/metaflow_temp")
        self.assert_options(rich["command_options"])
        self.assertTrue(shell["container"]["shell"])
        self.assertFalse(shell["container"]["install"])
        self.assertEqual(
            shell["container"]["user_environment"], {"METAFLOW_SKIP_INSTALL_DEPENDENCIES": "1", "OPTIONS": "-s"}
        )
        s3 = self.messages("plan")[0]["plan"]["s3"]
        self.assertEqual((s3["server_side_encryption"], s3["ca_bundle"]), ("AES256", "/dev/null"))

    def assert_options(self, options):
        expected = {
            "image": "registry/image:tag",
            "queue": "queue",
            "iam-role": "arn:role",
            "cpu": "3.5",
            "gpu": "1",
            "memory": "4096.0",
            "shared-memory": "100",
            "use-tmpfs": True,
            "tmpfs-size": "10",
            "tmpfs-path": "/metaflow_temp",
            "host-volumes": ["/a", "/b:/c"],
            "efs-volumes": [],
            "run-time-limit": 120,
            "efa": 0,
            "swappiness": None,
        }
        self.assertEqual({name: options[name] for name in expected}, expected)

    def test_interpreter_known_in_the_container_only(self):
        self.ask(
            [{"step": "plain", "input_paths": ["RUN/start/1"]}], "--environment", "shelly", "run", "--tag", "$HOME",
            PYTHONPATH=os.pathsep.join([PYTHON_DIR, os.path.join(HERE, "extension")]),
        )
        self.assert_all_as_upstream(1)
        [[place, _]] = self.places().values()
        self.assertTrue(place["container"]["shell"])
        self.assertEqual(place["container"]["command"][0], "$THERE/python -s")
        self.assertEqual(
            place["container"]["prepare"], ["echo 'It is \"s3\"'", "export THERE=$PROGRAMS"]
        )

    @unittest.skipUnless(HAS_TAGS, "this Metaflow has no aws_batch_tags")
    def test_tags_that_nobody_gets(self):
        tags = BATCH + ',aws_batch_tags={"team": "a b"}'
        questions = [{"step": "start", "input_paths": ["RUN/_parameters/0"]}] * 2
        answers = self.ask(questions, "run", "--with", tags, flow="linear")
        self.assert_all_as_upstream(2)
        self.assertEqual(self.result.err.count("ferroflow: jobs do not get the tags of @batch (team)"), 1)
        self.assertEqual(answers[0]["place"]["tags"], {})
        self.assertEqual(answers[0]["place"]["command_options"]["aws-batch-tag"], ["team=a b"])
        self.assertIn('"team": "a b"', " ".join(answers[0]["place"]["container"]["command"]))

    def test_next_attempts(self):
        """Nobody waits here between attempts, and those of @catch are local (batch_decorator.py)."""
        inputs = {"task": 1, "step": "rich", "input_paths": ["RUN/plain/1"], "max_user_code_retries": 1}
        answers = self.ask([dict(inputs, attempt=attempt) for attempt in (0, 1, 2)], words="questions")
        places = [answer["place"] for answer in answers]
        self.assertEqual([place["kind"] for place in places], ["batch", "batch", "local"])
        self.assertEqual([place["parameters"]["metaflow.retry_count"] for place in places[:2]], ["0", "1"])
        self.assertEqual(len({answer["task_id"] for answer in answers}), 1)

    def test_no_requests(self):
        """Upstream's own attempt takes one, which tells that it began: the engine's matter."""
        self.ask([{"step": "plain", "input_paths": ["RUN/start/1"]}] * 3, words="questions")
        told = [path for _method, path in self.aws.requests if "/plain/" in path or path.startswith("/v1/")]
        self.assertEqual(told, [])
        for answer in self.messages("prepared"):
            (write,) = answer["writes"]
            run = answer["place"]["parameters"]["metaflow.run_id"]
            self.assertEqual(write["key"], "BatchKinds/%s/plain/%s/0.attempt.json" % (run, answer["task_id"]))
            self.assertEqual(list(json.loads(write["body"])), ["time"])


class Siblings(BatchCase):
    """Of several that are asked for together, most only follow from the first: they must be what they would be alone.

    A machine that is very busy comes to the first of them only.
    """

    WIDTH = 5

    def together_and_alone(self, step, *args, **changes):
        """The answer to one question, those to one for each, and that for the next attempt of the last sibling."""
        same = {"step": step, "input_paths": ["RUN/start/1"], "max_user_code_retries": 2}
        members = [{"task": index, "split_index": index} for index in range(self.WIDTH)]
        alone = [dict(same, task=self.WIDTH + index, split_index=index) for index in range(self.WIDTH)]
        together = dict(same, type="prepare_siblings", members=members)
        again = dict(same, task=1, attempt=1, split_index=1)
        *alone, again, together = self.ask([together] + alone + [again], *args, words="questions", **changes)
        return together, alone, again

    def assert_the_same(self, step, *args):
        together, alone, again = self.together_and_alone(step, *args)
        [first], others = together["members"], together["others"]
        self.assertIn(len(others), range(1, self.WIDTH))
        ids = [first["task_id"]] + [other["task_id"] for other in others]
        for index, (answer, written) in enumerate(zip(alone, [first] + others)):
            place = json.loads(json.dumps(first["place"]))
            for path, own in together["differences"]:
                _put(place, path, {"task_id": answer["task_id"], "split_index": str(index)}[own])
            self.assertEqual(_text(place), _text(answer["place"]))
            self.assertEqual(_marks(written, ids[index]), _marks(answer, answer["task_id"]))
        run = first["place"]["parameters"]["metaflow.run_id"]
        kept = [self.metadata(run, step, task_id) for task_id in ids + [answer["task_id"] for answer in alone]]
        self.assertEqual(kept, kept[:1] * len(kept))
        self.assertEqual(again["task_id"], ids[1])
        self.assertEqual(again["place"]["parameters"]["metaflow.retry_count"], "1")
        self.assertIn(ids[1], again["place"]["container"]["command"])

    def metadata(self, run, step, task_id):
        """What the local provider has of a task."""
        folder = os.path.join(self.folder, ".metaflow", "BatchKinds", run, step, task_id, "_meta")
        found = {}
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            with open(path) as file:
                document = json.load(file)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            self.assertEqual(document.pop("task_id"), task_id)
            self.assertGreater(document.pop("ts_epoch"), 0)
            found[re.sub(r"_\d+\.json$", "", name)] = document
        return found

    def test_steps(self):
        self.assert_the_same("plain", "run", "--tag", "two words")

    def test_step_with_everything(self):
        self.assert_the_same("rich")

    def test_own_variables_through_a_shell(self):
        self.assert_the_same("shell")

    def test_hooks_that_nobody_knows(self):
        path = os.pathsep.join([PYTHON_DIR, os.path.join(HERE, "extension")])
        together, alone, _again = self.together_and_alone("plain", "run", "--with", "stranger", PYTHONPATH=path)
        self.assertEqual((together["differences"], together["others"]), ([], []))
        members = together["members"]
        self.assertEqual({member["place"]["kind"] for member in members}, {"batch"})
        self.assertEqual(len({answer["task_id"] for answer in members + alone}), len(members) + self.WIDTH)


def _put(value, path, new):
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


def _text(place):
    """With numbers as text, which options of a task's own may be."""
    return json.loads(json.dumps(place), parse_int=str)


def _marks(answer, task_id):
    """What is written when a task begins."""
    return [(w["key"].replace("/%s/" % task_id, "/ID/"), list(json.loads(w["body"]))) for w in answer["writes"]]


class OnlyHere(BatchCase):
    """What upstream cannot do."""

    def test_next_attempt_without_retry(self):
        """After a lost host, which is no failure of the task."""
        inputs = {"task": 1, "step": "plain", "input_paths": ["RUN/start/1"]}
        questions = [dict(inputs, attempt=lost, max_user_code_retries=lost) for lost in (0, 1, 2)]
        places = [answer["place"] for answer in self.ask(questions, words="questions")]
        self.assertEqual([place["kind"] for place in places], ["batch"] * 3)
        self.assertEqual([place["parameters"]["metaflow.retry_count"] for place in places], ["0", "1", "2"])

    def test_input_paths_too_long_for_a_command_line(self):
        [answer] = self.ask([{"step": "plain", "input_paths": _inputs(40000)}], words="questions")
        container = answer["place"]["container"]
        [(name, text)] = container["files"].items()
        self.assertEqual(container["command"][container["command"].index("--input-paths-filename") + 1], name)
        self.assertNotIn("--input-paths", container["command"])
        self.assertGreater(len(text), 128 * 1024)
        self.assertNotIn("METAFLOW_INPUT_PATHS_0", container["environment"])

    def test_quotation_marks(self):
        [answer] = self.ask(
            [{"step": "plain", "input_paths": ["RUN/start/1"]}], "run", "--tag", 'say "it\'s"', words="questions"
        )
        self.assertIn('say "it\'s"', answer["place"]["container"]["command"])


class Foreign(BatchCase):
    """What goes through upstream's own process, and with FERROFLOW=require nowhere."""

    QUESTION = [{"step": "plain", "input_paths": ["RUN/start/1"]}]

    def refused(self, questions, *args, **changes):
        [answer] = self.ask(questions, *args, words="questions", **changes)
        self.assertEqual(answer["type"], "refused")
        self.assertNotIn("goes to AWS Batch through", self.result.err)
        self.assertIn("Ferroflow cannot run this step", self.result.err)
        self.assertIn("FERROFLOW=require forbids to start it like this", self.result.err)
        return answer["error"]

    def test_what_upstream_refuses(self):
        question = [{"step": "refused", "input_paths": ["RUN/shell/1"]}]
        [answer] = self.ask(question, words="questions")
        self.assertEqual(answer["type"], "refused")
        self.assertIn("Step refused cannot be submitted to AWS Batch", self.result.err)
        self.assertIn("Invalid CPU value (0); it should be greater than 0 (its @batch has cpu=0, gpu=0", self.result.err)
        answers = self.ask(question * 2, words="questions", FERROFLOW="auto")
        self.assertEqual([answer["place"] for answer in answers], [{"kind": "foreign"}] * 2)
        argv = answers[0]["argv"]
        self.assertEqual(argv[argv.index("batch") :][:3], ["batch", "step", "refused"])
        self.assertEqual(self.result.err.count("ferroflow: step refused goes to AWS Batch through Metaflow's own"), 1)

    def test_variable_that_changes_what_is_submitted(self):
        question = [{"step": "shell", "input_paths": ["RUN/rich/1"]}]
        error = self.refused(question, VARIABLE="AWS_DEFAULT_REGION")
        self.assertIn("a decorator changes AWS_DEFAULT_REGION for the process that submits it", error)
        self.assertFalse(self.messages("plan")[0]["plan"]["steps"]["shell"]["batch"])

    def test_environment_with_its_own_bootstrap(self):
        path = os.pathsep.join([PYTHON_DIR, os.path.join(HERE, "extension")])
        error = self.refused(self.QUESTION, "--environment", "stubborn", "run", PYTHONPATH=path)
        self.assertIn("environment stubborn has its own get_package_commands", error)


class Settings(BatchCase):
    """Those that only Metaflow's own Python can ask for leave the whole run to it."""

    def test_parameters_of_the_s3_client(self):
        for params, why in [
            ({"region_name": "eu-west-1", "use_ssl": True}, "METAFLOW_DATATOOLS_CLIENT_PARAMS has region_name, use_ssl"),
            ({"config": {"s3": {"addressing_style": "path"}}}, "METAFLOW_DATATOOLS_CLIENT_PARAMS has config.s3"),
            ({"verify": False}, "METAFLOW_DATATOOLS_CLIENT_PARAMS turns the check of certificates off"),
        ]:
            result = self.run_flow("linear", METAFLOW_DATATOOLS_CLIENT_PARAMS=json.dumps(params))
            self.assertEqual(result.status, 1)
            self.assertIn(why, result.err)
            self.assertIn("FERROFLOW=require forbids", result.err)
            self.assertEqual(self.messages(), [])


if __name__ == "__main__":
    unittest.main()
