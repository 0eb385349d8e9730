"""A session and a client of boto3 that a module holds."""

import boto3
from metaflow import FlowSpec, step

session = boto3.session.Session(aws_access_key_id="AKID", aws_secret_access_key="SECRET", region_name="us-east-1")
s3 = session.client("s3", endpoint_url="http://127.0.0.1:9")


class Boto3AtImportFlow(FlowSpec):
    @step
    def start(self):
        self.items = [0, 1]
        self.next(self.sign, foreach="items")

    @step
    def sign(self):
        url = s3.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": str(self.input)})
        self.signed = url.split("?")[0]
        try:
            s3.head_bucket(Bucket="b")
        except Exception as error:
            self.refused = type(error).__name__
        self.next(self.join)

    @step
    def join(self, inputs):
        self.signed = [i.signed for i in inputs]
        assert {i.refused for i in inputs} == {"EndpointConnectionError"}
        self.next(self.end)

    @step
    def end(self):
        print(self.signed)


if __name__ == "__main__":
    Boto3AtImportFlow()
