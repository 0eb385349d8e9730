//! Callers that have no business here.

use crate::stack::Running;

const JSON: &str =
    "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";

#[test]
fn wrong_keys_are_refused() {
    let stack = Running::start("[]");
    let text = stack.script(
        r#"
KEY = os.environ["AWS_ACCESS_KEY_ID"]
wrong = dict(aws_access_key_id=KEY, aws_secret_access_key="wrong")
stranger = dict(aws_access_key_id="AKIASTRANGER", aws_secret_access_key="wrong")
with_token = dict(aws_access_key_id=KEY, aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"], aws_session_token="t")
for keys in (wrong, stranger, with_token):
    print(refusal(client("batch", **keys).describe_job_queues))
    print(refusal(client("logs", **keys).describe_log_groups))
    print(refusal(client("sts", **keys).get_caller_identity))
    print(refusal(client("s3", **keys).list_buckets))
print(refusal(client("sqs").list_queues))
"#,
    );
    let wrong = "(403, 'InvalidSignatureException')\n".repeat(2)
        + &"(403, 'SignatureDoesNotMatch')\n".repeat(2);
    let unknown = "(403, 'UnrecognizedClientException')\n".repeat(2)
        + "(403, 'InvalidClientTokenId')\n(403, 'InvalidAccessKeyId')\n";
    let expected = [
        &wrong,
        &unknown,
        &unknown,
        "(501, 'UnknownServiceException')\n",
    ]
    .concat();
    assert_eq!(text, expected);
}

#[test]
fn requests_without_a_signature_are_refused() {
    let stack = Running::start("[]");
    for request in [
        format!("POST /v1/submitjob HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n{JSON}"),
        format!("POST / HTTP/1.1\r\nHost: localhost:PORT\r\nX-Amz-Target: Logs_20140328.GetLogEvents\r\n{JSON}"),
        "GET /ferroflow-dev HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n\r\n".to_owned(),
        // What a browser asks before it lets a page send a header.
        "OPTIONS /v1/submitjob HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nOrigin: http://page.example\r\n\
         Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n"
            .to_owned(),
        // What a form of a page can send without asking.
        "POST /ferroflow-dev HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nOrigin: http://page.example\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5\r\nConnection: close\r\n\r\n--b--"
            .to_owned(),
    ] {
        let answer = stack.raw(&request);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{request}\n{answer}");
        assert!(answer.contains("Missing Authentication Token"), "{answer}");
        assert!(!answer.to_lowercase().contains("access-control"), "{answer}");
    }
    assert!(stack.history("call").is_empty());
}

#[test]
fn another_host_name_is_refused() {
    let stack = Running::start("[]");
    for host in [
        "page.example:PORT",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1.example:PORT",
        "page@127.0.0.1:1",
        "",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = stack.raw(&request);
        assert!(answer.starts_with("HTTP/1.1 421 "), "{host}\n{answer}");
    }
}

#[test]
fn secret_paths_are_not_guessed() {
    let stack = Running::start("[]");
    for path in [
        "/v2/credentials/x",
        "/v4/x",
        "/v4/x/task",
        "/v4/",
        "/_stack/status",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nAuthorization: x\r\nConnection: close\r\n\r\n"
        );
        let answer = stack.raw(&request);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{path}\n{answer}");
    }
    let token = &stack.secrets.token.0;
    let answer = stack.raw(&format!(
        "GET /_stack/status HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"
    ));
    assert!(
        answer.contains(r#""queues":{"ferroflow-dev":{},"#),
        "{answer}"
    );
}

#[test]
fn long_bodies_and_headers_are_refused() {
    let stack = Running::start("[]");
    let text =
        stack.script(r#"print(refusal(client("batch").describe_jobs, jobs=["x" * (2 << 20)]))"#);
    assert_eq!(text, "(413, 'RequestEntityTooLargeException')\n");
    let long = "x".repeat(1 << 20);
    let answer = stack.raw(&format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\nX: {long}\r\n\r\n"
    ));
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}
