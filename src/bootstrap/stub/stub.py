# Becomes the bootstrap: fetches the binary for this machine from S3, checks its SHA-256, and
# executes it. Standard library only, any Python from 3.6 on. Packed by pack.py; see ../stub.rs.
#
# Exit codes: 110 no binary for this machine, 111 not fetched or not the right bytes, 112 nowhere
# to execute it from.
import hashlib, hmac, json, os, ssl, sys, time, urllib.error, urllib.parse, urllib.request as request

env = os.environ.get
# Credential endpoints are on this host: never through a proxy.
direct = request.build_opener(request.ProxyHandler({}))


def die(code, message):
    sys.stderr.write("ferroflow: %s\n" % message)
    sys.exit(code)


def get(url, headers={}, method="GET", opener=direct, timeout=5):
    call = request.Request(url, headers=headers, method=method)
    return opener.open(call, timeout=timeout).read()


def credentials():
    if env("AWS_ACCESS_KEY_ID") and env("AWS_SECRET_ACCESS_KEY"):
        return env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN")
    url = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    url = "http://169.254.170.2" + url if url else env("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    if url:
        path = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        token = open(path).read().strip() if path else env("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        found = get(url, {"Authorization": token} if token else {})
    else:
        url = (env("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254").rstrip("/")
        name = "X-aws-ec2-metadata-token"
        token = get(url + "/latest/api/token", {name + "-ttl-seconds": "21600"}, "PUT").decode()
        url += "/latest/meta-data/iam/security-credentials/"
        role = get(url, {name: token}).decode().split()[0]
        found = get(url + role, {name: token})
    found = json.loads(found.decode())
    return found["AccessKeyId"], found["SecretAccessKey"], found.get("Token")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256)


def fetch(wanted):
    bucket, _, prefix = env("FERROFLOW_BOOT_URL")[5:].partition("/")
    region = env("FERROFLOW_BOOT_REGION")
    url = env("METAFLOW_S3_ENDPOINT_URL") or env("AWS_ENDPOINT_URL_S3") or env("AWS_ENDPOINT_URL")
    path = "/" + prefix.strip("/") + "/" + wanted
    if url or "." in bucket:
        path = "/" + bucket + path
    if not url:
        url = "s3." + region + ".amazonaws.com" + (".cn" if region[:3] == "cn-" else "")
        url = "https://" + ("" if "." in bucket else bucket + ".") + url
    url = urllib.parse.urlsplit(url.rstrip("/") + urllib.parse.quote(os.fsencode(path), safe="/-_.~"))
    key, secret, token = credentials()
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers = {"host": url.netloc, "x-amz-content-sha256": sha256(b""), "x-amz-date": now}
    if token:
        headers["x-amz-security-token"] = token
    names = sorted(headers)
    signed = ";".join(names)
    lines = ["GET", url.path, ""] + [n + ":" + headers[n] for n in names] + ["", signed, sha256(b"")]
    scope = [now[:8], region, "s3", "aws4_request"]
    derived = ("AWS4" + secret).encode()
    for part in scope:
        derived = sign(derived, part).digest()
    scope = "/".join(scope)
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, sha256("\n".join(lines).encode())])
    headers["Authorization"] = (
        "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s"
        % (key, scope, signed, sign(derived, text).hexdigest())
    )
    context = ssl.create_default_context()
    if env("AWS_CA_BUNDLE"):
        context.load_verify_locations(env("AWS_CA_BUNDLE"))
    opener = request.build_opener(request.HTTPSHandler(context=context))
    data = get(url.geturl(), headers, "GET", opener, 60)
    if sha256(data) != wanted:
        raise ValueError("sha256 mismatch")
    return data


def load(wanted):
    # 12 pauses of 1, 2, 4, 8, 16, 30, 30 … seconds and less: about 3 minutes for a throttled store.
    for count in range(13):
        try:
            return fetch(wanted)
        except urllib.error.HTTPError as error:
            why = "status %s %s" % (error.code, error.read(300).decode("utf-8", "replace"))
            more = {301: 0, 404: 0, 400: 2, 403: 2}.get(error.code, 12)
        except Exception as error:
            why = repr(error)
            # Wrong bytes once more; an endpoint that is not there, for some time.
            more = 1 if isinstance(error, ValueError) else 5
        if count >= more:
            die(111, "cannot fetch %s/%s: %s" % (env("FERROFLOW_BOOT_URL"), wanted, why))
        time.sleep(min(30, 2 ** count) * (0.5 + os.urandom(1)[0] / 512))


def become(data):
    try:
        fd = os.memfd_create("ferroflow")
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(data)
        os.execv("/proc/self/fd/%d" % fd, ["ferroflow-bootstrap"])
    except (AttributeError, OSError):
        pass
    for folder in (env("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm", "."):
        try:
            path = os.path.join(folder, "ferroflow-" + os.urandom(8).hex())
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700), "wb") as file:
                file.write(data)
            os.execv(path, ["ferroflow-bootstrap"])
        except (TypeError, OSError):
            pass
    die(112, "no folder to execute the bootstrap from: mount a writable one, or set TMPDIR")


machine = os.uname()[4]
wanted = json.loads(env("FERROFLOW_BOOT_SHA256") or "{}").get(machine)
if not wanted:
    die(110, "no bootstrap for machine %s: this job's image or instances do not fit" % machine)
become(load(wanted))
