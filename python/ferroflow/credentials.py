"""AWS credentials that the engine cannot find by itself: upstream's clients have them (plugins/aws/aws_client.py).

The engine asks by a `credentials` message (docs/host-protocol.md): always, where a client provider of an extension or the
Metaflow sandbox supplies them; else where a profile asks for the code of an MFA device, or the like, which botocore knows
how to do.
"""

import sys
from urllib.parse import urlsplit

from .errors import HandBack, one_line

BOTO3 = "boto3"


class Credentials:
    """Answers the engine's questions for credentials."""

    def __init__(self, runtime):
        self._datastore = runtime._flow_datastore
        self._owner = owner(runtime)
        self._clients = {}

    def answer(self, question):
        """The credentials of upstream's client of a service (`s3`, `batch`), refreshed by whoever made them."""
        client = self._client(question["service"])
        found = client._request_signer._credentials
        if found is None:
            raise RuntimeError("boto3 finds no AWS credentials")
        frozen = found.get_frozen_credentials()
        # Only credentials that are refreshed know it; of others the engine asks again after a while.
        expiry = getattr(found, "_expiry_time", None)
        return {
            "type": "credentials",
            "id": question["id"],
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "session_token": frozen.token,
            "expires_at": None if expiry is None else expiry.timestamp(),
        }

    def _client(self, service):
        if self._owner == "sandbox":
            return _of_sandbox(service)
        if service not in self._clients:
            # One client for all services where boto3 makes it, so that a person is asked for one code only.
            own = service == "s3" or self._owner is None
            self._clients[service] = datastore_client(self._datastore) if own else _client(service)
        return self._clients[service]


def describe(runtime, uses_batch):
    """`aws` of the plan, or None: what the engine must know where it is not to find credentials by itself."""
    kind = owner(runtime)
    if kind is None:
        return None
    if kind != "sandbox":
        _check_client(runtime, kind)
    region = batch_region() if uses_batch else None
    return {"credentials": "host", "region": region, "sandbox": kind == "sandbox"}


def batch_region():
    """The region of upstream's client of AWS Batch."""
    return _client("batch").meta.region_name


def owner(runtime):
    """Who supplies credentials: `sandbox`, the name of a client provider of an extension, or None for boto3."""
    from metaflow import metaflow_config

    if runtime._flow_datastore.TYPE != "s3":
        return None
    provider = getattr(metaflow_config, "DEFAULT_AWS_CLIENT_PROVIDER", BOTO3)
    if provider != BOTO3:
        return provider
    return "sandbox" if getattr(metaflow_config, "AWS_SANDBOX_ENABLED", False) else None


def datastore_client(flow_datastore):
    """The client of S3 that upstream's datastore has (plugins/datastores/s3_storage.py)."""
    return flow_datastore._storage_impl.s3_client.client


def _client(service):
    from metaflow.plugins.aws.aws_client import get_aws_client

    return get_aws_client(service)


def _of_sandbox(service):
    """A client with new credentials: upstream fetches them once, and they last an hour."""
    aws_client = sys.modules.get("metaflow.plugins.aws.aws_client")
    if aws_client is not None:
        aws_client.cached_aws_sandbox_creds = None
    return _client(service)


def _check_client(runtime, provider):
    """The engine can use a provider's credentials, not what else it may do to a client."""
    name = "METAFLOW_DEFAULT_AWS_CLIENT_PROVIDER %s" % provider
    try:
        client = datastore_client(runtime._flow_datastore)
        has_credentials = client._request_signer._credentials is not None
        endpoint = urlsplit(client.meta.endpoint_url)
        signature = client.meta.config.signature_version
    except Exception as error:
        raise HandBack("the S3 client of %s cannot be understood: %s" % (name, one_line(error))) from error
    if not has_credentials or not str(signature).startswith(("s3v4", "v4")):
        raise HandBack("%s does not sign requests to S3 by AWS credentials" % name)
    if not _is_amazon(endpoint.hostname) and client.meta.endpoint_url != _configured_endpoint():
        raise HandBack("%s has S3 at %s" % (name, client.meta.endpoint_url))


def _is_amazon(host):
    return (host or "").endswith((".amazonaws.com", ".amazonaws.com.cn"))


def _configured_endpoint():
    """Where a client of boto3 itself would find S3, as the engine does."""
    import boto3
    from metaflow import metaflow_config

    endpoint = (getattr(metaflow_config, "DATATOOLS_CLIENT_PARAMS", None) or {}).get("endpoint_url")
    return boto3.session.Session().client("s3", endpoint_url=endpoint).meta.endpoint_url
