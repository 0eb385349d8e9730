"""Credentials that the engine asks the host for."""

import datetime
import os
import unittest

from support import HERE, PYTHON_DIR
from test_batch import BatchCase

# Ends the run without a task, which would have to find credentials of its own.
NO_TASKS = 'finish={"kind":"done"}'


class Asked(BatchCase):
    def ask_for(self, *services, flow="linear", **changes):
        """The answers to questions for credentials."""
        words = ["credentials=" + service for service in services] + [NO_TASKS]
        self.result = self.run_flow(flow, FAKE_ENGINE=" ".join(words), **changes)
        return self.messages("credentials", "host") + self.messages("refused", "host")

    def keys(self, *services, **changes):
        answers = self.ask_for(*services, **changes)
        self.assert_ok(self.result)
        self.assertNotIn("ferroflow:", self.result.err)
        return [answer.get("access_key_id") for answer in answers]

    def plan(self):
        return self.messages("plan")[0]["plan"]


class OfBoto3(Asked):
    def test_keys_of_the_environment(self):
        answer, = self.ask_for("s3")
        self.assertEqual(
            answer,
            {
                "type": "credentials",
                "id": 1,
                "access_key_id": "test",
                "secret_access_key": "test",
                "session_token": None,
                "expires_at": None,
            },
        )
        self.assertNotIn("aws", self.plan())

    def test_a_code_is_asked_for_once(self):
        with open(os.path.join(self.folder, "config"), "w") as file:
            file.write(
                "[profile mfa]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = keys\n"
                "mfa_serial = arn:aws:iam::1:mfa/me\n"
                "[profile keys]\naws_access_key_id = AKKEYS\naws_secret_access_key = s\n"
            )
        self.typed = "123456\n"
        keys = self.keys(
            "s3",
            "batch",
            AWS_ACCESS_KEY_ID=None,
            AWS_SECRET_ACCESS_KEY=None,
            AWS_CONFIG_FILE=os.path.join(self.folder, "config"),
            AWS_PROFILE="mfa",
            AWS_ENDPOINT_URL_STS=self.aws.url,
        )
        self.assertEqual(keys, ["AKROLE-1", "AKROLE-1"])
        self.assertEqual([role["TokenCode"] for role in self.aws.roles], ["123456"])
        self.assertEqual(self.aws.roles[0]["SerialNumber"], "arn:aws:iam::1:mfa/me")
        self.assertEqual(self.messages("credentials", "host")[0]["expires_at"], 32472144000.0)


class OfAProvider(Asked):
    def setUp(self):
        super().setUp()
        self.company = {
            "METAFLOW_DEFAULT_AWS_CLIENT_PROVIDER": "company",
            "PYTHONPATH": os.pathsep.join([PYTHON_DIR, os.path.join(HERE, "extension")]),
            "AWS_ACCESS_KEY_ID": None,
            "AWS_SECRET_ACCESS_KEY": None,
        }

    def test_each_service_has_its_client_and_they_are_refreshed(self):
        # botocore replaces what has less than a quarter of an hour left.
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
        changes = dict(self.company, COMPANY_EXPIRY=soon.isoformat(), AWS_DEFAULT_REGION=None, flow="batch_kinds")
        first, second, batch = self.keys("s3", "s3", "batch", **changes)
        self.assertNotEqual(first, second)
        self.assertIn("-s3-", first)
        self.assertIn("-batch-", batch)
        self.assertEqual(self.plan()["aws"], {"credentials": "host", "region": "eu-south-1", "sandbox": False})

    def test_an_endpoint_of_its_own_is_not_ours(self):
        elsewhere = self.aws.url.replace("127.0.0.1", "localhost")
        result = self.run_flow("linear", COMPANY_S3=elsewhere, **self.company)
        self.assertEqual(result.status, 1)
        self.assertIn("METAFLOW_DEFAULT_AWS_CLIENT_PROVIDER company has S3 at " + elsewhere, result.err)
        self.assertEqual(self.messages(), [])


class OfTheSandbox(Asked):
    SANDBOX = {
        "METAFLOW_AWS_SANDBOX_ENABLED": "1",
        "METAFLOW_AWS_SANDBOX_API_KEY": "the-key",
        "METAFLOW_AWS_SANDBOX_REGION": "us-west-2",
        "AWS_ACCESS_KEY_ID": None,
        "AWS_SECRET_ACCESS_KEY": None,
    }

    def test_its_keys_are_fetched_anew(self):
        keys = self.keys("s3", "s3", METAFLOW_SERVICE_URL=self.aws.url, **self.SANDBOX)
        self.assertEqual(len(set(keys)), 2)
        self.assertTrue(all(key.startswith("AKSAND-") for key in keys), keys)
        self.assertEqual({headers["x-api-key"] for headers in self.aws.sandboxes}, {"the-key"})
        self.assertEqual(self.plan()["aws"], {"credentials": "host", "region": None, "sandbox": True})


if __name__ == "__main__":
    unittest.main()
