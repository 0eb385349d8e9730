#!/bin/sh
# Makes a stand-in for `python:3.11` without any registry: Debian bookworm, whose python3 is 3.11, with pip, boto3 and
# requests. Needs root, debootstrap, docker, a Debian mirror and PyPI. Does nothing when the image is there.
#
#   make-base.sh NAME:TAG
set -eu
tag=${1:?usage: make-base.sh NAME:TAG}
if docker image inspect "$tag" >/dev/null 2>&1; then
    exit 0
fi
if ! command -v debootstrap >/dev/null; then
    echo "make-base.sh: debootstrap is missing; apt-get install debootstrap" >&2
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv bookworm "$work/rootfs" >&2
rm -rf "$work"/rootfs/var/cache/apt/archives/*.deb "$work"/rootfs/var/lib/apt/lists/*
tar -C "$work/rootfs" --exclude=./dev --exclude=./proc --exclude=./sys -c . | docker import - "$tag-bare" >/dev/null

# pip inside the container trusts what this machine trusts.
mkdir "$work/context"
cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$work/context/ca.crt"
cat >"$work/context/Dockerfile" <<D
FROM $tag-bare
RUN mkdir -p /tmp /proc /sys && chmod 1777 /tmp \\
 && ln -sf python3 /usr/bin/python && rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
COPY ca.crt /usr/local/share/machine-ca.crt
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \\
    PIP_CERT=/usr/local/share/machine-ca.crt PIP_ROOT_USER_ACTION=ignore
RUN python -m pip install -q --no-cache-dir boto3 requests
D
DOCKER_BUILDKIT=0 docker build -q --network host -t "$tag" "$work/context" >/dev/null
docker run --rm --network none "$tag" python -c 'import boto3, requests'
