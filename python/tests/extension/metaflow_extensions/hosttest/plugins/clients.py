import os

import botocore.credentials
import botocore.session
from metaflow.plugins.aws.aws_client import Boto3ClientProvider


class CompanyClients(Boto3ClientProvider):
    """Keys of the company's own, made anew at each refresh; COMPANY_S3 is where its S3 is.

    In a container the job's role serves.
    """

    name = "company"

    @staticmethod
    def get_client(module, with_error=False, role_arn=None, session_vars=None, client_params=None):
        import boto3
        from botocore.exceptions import ClientError

        if "AWS_BATCH_JOB_ID" in os.environ:
            return Boto3ClientProvider.get_client(module, with_error, role_arn, session_vars, client_params)
        session = botocore.session.Session()
        session._credentials = botocore.credentials.RefreshableCredentials.create_from_metadata(
            _keys(module), lambda: _keys(module), "company"
        )
        params = {k: v for k, v in (client_params or {}).items() if k != "config"}
        if module == "s3" and os.environ.get("COMPANY_S3"):
            params["endpoint_url"] = os.environ["COMPANY_S3"]
        region = os.environ.get("AWS_DEFAULT_REGION") or "eu-south-1"
        client = boto3.session.Session(botocore_session=session, region_name=region).client(module, **params)
        return (client, ClientError) if with_error else client


def _keys(module):
    _keys.calls = getattr(_keys, "calls", 0) + 1
    return {
        "access_key": os.environ.get("COMPANY_KEY") or "AK-%s-%d" % (module, _keys.calls),
        "secret_key": os.environ.get("COMPANY_SECRET") or "secret",
        "token": os.environ.get("COMPANY_TOKEN", "token") or None,
        "expiry_time": os.environ.get("COMPANY_EXPIRY") or "2999-01-01T00:00:00Z",
    }
