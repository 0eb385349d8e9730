#!/usr/bin/env python3
"""A local AWS for the tests: moto on loopback, its Batch jobs in containers of this machine's Docker engine, signatures
and IAM policies enforced. Prints the environment of a client as one line of JSON, then serves until standard input ends.

    lab.py BOOTSTRAPS       the folder that packaging/build_bootstrap.py made

Jobs run on a plain image with Python (METAFLOW_BATCH_CONTAINER_IMAGE of that environment) or on the one of images/
(TEST_IMAGE_WITH_BOOTSTRAP), each with what ECS adds to a container and moto does not.

The launcher is an IAM user with the actions of upstream's reference policy and no more: no ListJobs, no CancelJob, no
TagResource. Jobs get the job role, which may read and write the bucket. moto knows Batch's actions in lower case, and
only without resources; that is the one way in which its policies are not the reference's.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

HERE = Path(__file__).resolve().parent
IMAGES = HERE.parent.parent / "images"
BASE = "ferroflow/test-python:3.11"
BUCKET, REGION = "ferroflow-test", "us-east-1"
LAUNCHER_BATCH = (
    "submitjob registerjobdefinition describejobs describejobdefinitions describejobqueues "
    "describecomputeenvironments terminatejob"
).split()
BUCKET_ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"]


def main():
    [bootstraps] = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    port = free_port()
    url = "http://127.0.0.1:%d" % port
    plain, ours = ["ferroflow/test-%s:p%d" % (kind, port) for kind in ("plain", "ours")]
    subprocess.run(["sh", str(IMAGES / "make-base.sh"), BASE], check=True, stdout=sys.stderr)
    build_ours(ours, bootstraps)
    as_in_ecs(plain, BASE, url)
    as_in_ecs(ours, ours, url)
    with tempfile.TemporaryDirectory(prefix="ferroflow-lab-") as state:
        moto = start_moto(port, state)
        try:
            wait_for(url, moto)
            environment = set_up(url, plain)
            environment.update(METAFLOW_HOME=state, TEST_IMAGE_WITH_BOOTSTRAP=ours)
            enforce_policies(url)
            print(json.dumps(environment), flush=True)
            sys.stdin.read()
        finally:
            moto.terminate()
            moto.wait()
            for image in (plain, ours):
                remove_containers(image)


def free_port():
    """A port whose neighbour is free, too: moto serves the jobs' credentials there."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def build_ours(image, bootstraps):
    """The image of images/Dockerfile, on a base without a registry."""
    with tempfile.TemporaryDirectory(prefix="ferroflow-image-") as context:
        shutil.copy(IMAGES / "Dockerfile", context)
        shutil.copytree(bootstraps, os.path.join(context, "bootstrap"))
        docker("build", "-q", "--build-arg", "BASE=" + BASE, "-t", image, context)


def as_in_ecs(image, base, url):
    """What ECS puts into a container and moto does not. A proxy on a closed port keeps upstream's question for the
    address of the instance, 169.254.169.254, from leaving this machine."""
    lines = [
        "FROM %s" % base,
        "ENV AWS_DEFAULT_REGION=%s AWS_REGION=%s AWS_ENDPOINT_URL=%s AWS_EC2_METADATA_DISABLED=true" % (REGION, REGION, url),
        "ENV http_proxy=http://127.0.0.1:9 no_proxy=127.0.0.1,localhost",
    ]
    docker("build", "-q", "-t", image, "-", input="\n".join(lines).encode())


def start_moto(port, state):
    environment = {
        **os.environ,
        "MOTO_DOCKER_NETWORK_MODE": "host",
        "MOTO_PORT": str(port),
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    }
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        environment.pop(name, None)
    command = [sys.executable, str(HERE / "moto_patched.py"), "-H", "127.0.0.1", "-p", str(port)]
    with open(os.path.join(state, "moto.log"), "wb") as log:
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def wait_for(url, moto):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and moto.poll() is None:
        try:
            post_free(url + "/moto-api/data.json")
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("moto did not start")


def post_free(url, data=None, content_type=None):
    request = urllib.request.Request(url, data=data, headers={"Content-Type": content_type} if content_type else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(request, timeout=10).read()


def enforce_policies(url):
    post_free(url + "/moto-api/reset-auth", b"0", "text/plain")


def set_up(url, image):
    """Bucket, roles, queue and launcher; the environment of the launcher."""

    def client(service):
        return boto3.client(
            service,
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id="admin",
            aws_secret_access_key="admin",
            config=Config(proxies={}, retries={"max_attempts": 2}),
        )

    client("s3").create_bucket(Bucket=BUCKET)
    iam = client("iam")
    job_role = role(iam, "test-job", "ecs-tasks.amazonaws.com", [allow(BUCKET_ACTIONS, bucket_arns())])
    key = launcher(iam, job_role)
    make_queue(client, iam)
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "METAFLOW_DEFAULT_DATASTORE": "s3",
        "METAFLOW_DATASTORE_SYSROOT_S3": "s3://%s/metaflow" % BUCKET,
        "METAFLOW_DATATOOLS_S3ROOT": "s3://%s/data" % BUCKET,
        "METAFLOW_S3_ENDPOINT_URL": url,
        "METAFLOW_DEFAULT_METADATA": "local",
        "METAFLOW_BATCH_JOB_QUEUE": "test-queue",
        "METAFLOW_BATCH_CONTAINER_IMAGE": image,
        "METAFLOW_ECS_S3_ACCESS_IAM_ROLE": job_role,
    }


def allow(actions, resources="*"):
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def bucket_arns():
    return ["arn:aws:s3:::%s" % BUCKET, "arn:aws:s3:::%s/*" % BUCKET]


def policy(statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def role(iam, name, service, statements):
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy([trust]))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=policy(statements))
    return arn


def launcher(iam, job_role):
    iam.create_user(UserName="launcher")
    statements = [
        allow(BUCKET_ACTIONS, bucket_arns()),
        allow(["batch:" + action for action in LAUNCHER_BATCH]),
        allow(["iam:PassRole"], job_role),
    ]
    iam.put_user_policy(UserName="launcher", PolicyName="inline", PolicyDocument=policy(statements))
    return iam.create_access_key(UserName="launcher")["AccessKey"]


def make_queue(client, iam):
    ec2, batch = client("ec2"), client("batch")
    service = role(iam, "test-batch", "batch.amazonaws.com", [allow(["ec2:*", "ecs:*"])])
    role(iam, "test-instance", "ec2.amazonaws.com", [allow(["ecs:*"])])
    profile = iam.create_instance_profile(InstanceProfileName="test-instance")["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName="test-instance", RoleName="test-instance")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    in_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    environment = batch.create_compute_environment(
        computeEnvironmentName="test-hosts",
        type="MANAGED",
        state="ENABLED",
        serviceRole=service,
        computeResources={
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": 256,
            "desiredvCpus": 0,
            "instanceTypes": ["optimal"],
            "subnets": [subnet["SubnetId"] for subnet in ec2.describe_subnets(Filters=in_vpc)["Subnets"]],
            "securityGroupIds": [ec2.describe_security_groups(Filters=in_vpc)["SecurityGroups"][0]["GroupId"]],
            "instanceRole": profile,
        },
    )
    order = [{"order": 1, "computeEnvironment": environment["computeEnvironmentArn"]}]
    batch.create_job_queue(jobQueueName="test-queue", state="ENABLED", priority=1, computeEnvironmentOrder=order)


def docker(*args, **more):
    # The classic builder: the other one is often absent, and asks a registry.
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(["docker", *args], env=environment, capture_output=True, **more)
    if done.returncode:
        sys.exit("docker %s: %s" % (" ".join(args), done.stderr.decode()))
    return done.stdout


def remove_containers(image):
    left = docker("ps", "-aq", "--filter", "ancestor=" + image).split()
    if left:
        docker("rm", "-f", *(container.decode() for container in left))
    docker("rmi", "-f", image)


if __name__ == "__main__":
    main()
