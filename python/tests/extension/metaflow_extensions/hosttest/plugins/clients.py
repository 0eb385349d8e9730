from metaflow.plugins.aws.aws_client import Boto3ClientProvider


class CompanyClients(Boto3ClientProvider):
    name = "company"
