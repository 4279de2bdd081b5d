"""What is wrong with a bucket, its credentials or the way to it is said in one line, with the next step."""

import re
import socket
import time
import uuid
from collections.abc import Callable

import pytest

from mlrepro.errors import NoRightError, StoreError
from mlrepro.store import Store, open_store
from tests.store.answering import answering
from tests.store.s3_server import S3Server

HASH = "5eed" * 16

USES: dict[str, tuple[str, Callable[[Store], object]]] = {
    "a result is looked up": (f"default/results/5e/{HASH}.json", lambda store: store.get_result(HASH)),
    "an object is looked for": (f"default/blobs/sha256/5e/{HASH}", lambda store: store.has_blob(HASH)),
    "a value is written": ("default/store.json", lambda store: store.write_value(1)),
    "a history is listed": ("default/versions/a", lambda store: store.newest(("versions", "a"))),
}

# Amazon's own answers: a local server has neither regions nor a clock that is wrong
ANSWERS = {
    "the clock is wrong": (
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        "The clock of this machine is wrong: set it",
    ),
    "the region is wrong": (
        400,
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
        "The region is wrong: set AWS_REGION, or the option region",
    ),
    "the token has expired": (
        400,
        "ExpiredToken",
        "The provided token has expired.",
        "The credentials have expired: renew them",
    ),
    "the token is none": (
        400,
        "InvalidToken",
        "The provided token is malformed or otherwise invalid.",
        "The credentials are wrong: check the session token",
    ),
    "the access is closed": (
        403,
        "AllAccessDisabled",
        "All access to this object has been disabled",
        "These credentials lack the right: they must read, write and list below the store's URL",
    ),
    "it is none of the known answers": (
        400,
        "InvalidRequest",
        "Please use AWS4-HMAC-SHA256.",
        "",
    ),
}


def told(use: Callable[[Store], object], store: Store, seconds: float) -> StoreError:
    """The error that a use gives within its time, on one line."""
    start = time.monotonic()
    with pytest.raises(StoreError) as caught:
        use(store)
    assert time.monotonic() - start < seconds
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("wrong", ANSWERS)
def test_the_answer_is_told_with_the_object_and_the_next_step(wrong: str, use: str) -> None:
    status, code, message, advice = ANSWERS[wrong]
    key, call = USES[use]
    with answering(status, code, message) as server:
        error = told(call, open_store("s3://ml/store", options=server.options), 10)
    assert f"s3://ml/store/{key}" in str(error)
    assert f"{code}: {message}" in str(error)
    assert str(error).endswith(advice)
    assert isinstance(error, NoRightError) == (wrong == "the access is closed")


@pytest.mark.parametrize("use", USES)
def test_a_bucket_of_another_region_that_redirects(use: str) -> None:
    key, call = USES[use]
    with answering(301, "PermanentRedirect", "The bucket must be addressed using the specified endpoint.") as server:
        error = told(call, open_store("s3://ml/store", options=server.options), 10)
    assert f"s3://ml/store/{key}" in str(error)
    assert str(error).endswith("The region or the endpoint is wrong: set AWS_REGION and AWS_ENDPOINT_URL")


@pytest.mark.parametrize("use", ["a result is looked up", "an object is looked for"])
def test_a_server_in_trouble_is_asked_again_before_it_is_said(use: str) -> None:
    with answering(503, "SlowDown", "Please reduce your request rate.") as server:
        error = told(USES[use][1], open_store("s3://ml/store", options=server.options), 30)
        assert len(server.asked) > 3
    assert str(error).endswith("The server has trouble: run again when it is well")


@pytest.mark.parametrize("use", USES)
def test_an_endpoint_where_nobody_listens(use: str) -> None:
    key, call = USES[use]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        options = {"endpoint": f"http://127.0.0.1:{closed.getsockname()[1]}", "access_key_id": "a"}
        # what was computed is worth a longer try than what is looked up
        seconds = 90 if use == "a value is written" else 30
        error = told(call, open_store("s3://ml/store", options={**options, "secret_access_key": "b"}), seconds)
    assert f"s3://ml/store/{key}" in str(error)
    assert str(error).endswith("It cannot be reached: check the endpoint and the network")


def test_no_credentials_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    # what obstore asks last of all is the instance's own address, which a laptop has not; this one refuses at once
    with answering(403, "", "no such instance") as nobody:
        metadata = nobody.endpoint.replace("http://", "http://169.254.169.254@")
        store = open_store("s3://ml/store", options={"endpoint": nobody.endpoint, "metadata_endpoint": metadata})
        error = told(USES["a result is looked up"][1], store, 10)
    assert "No credentials were found: set AWS_ACCESS_KEY_ID" in str(error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "bucket", "expected"),
    [
        ({}, "no-such-bucket", r"NoSuchBucket.*The bucket does not exist: create it, or correct the store's URL"),
        ({"access_key_id": "wrong"}, "mlrepro", r"InvalidAccessKeyId.*The credentials are wrong: check the access key"),
        ({"secret_access_key": "x"}, "mlrepro", r"SignatureDoesNotMatch.*The credentials are wrong: check the secret"),
    ],
)
@pytest.mark.parametrize("use", USES)
def test_a_real_server_is_understood(
    s3: S3Server, use: str, change: dict[str, str], bucket: str, expected: str
) -> None:
    url = f"s3://{bucket}/{uuid.uuid4().hex}"
    store = open_store(url, options=s3.options | change)
    if use == "an object is looked for" and not change:
        # S3 answers HEAD below a missing bucket like that of a missing object, without a word
        assert store.has_blob(HASH) is False
        return
    error = told(USES[use][1], store, 10)
    assert str(error).split(": ")[0].startswith("Could not")
    assert url in str(error)
    assert re.search(expected, str(error))


@pytest.mark.slow
def test_a_reader_is_told_that_it_may_not_write(s3: S3Server) -> None:
    store = open_store(f"s3://mlrepro/{uuid.uuid4().hex}", options=s3.reader_options)
    error = told(lambda store: store.write_value(1), store, 10)
    assert isinstance(error, NoRightError)
    assert re.search(r"store.json \(AccessDenied.*\)\. These credentials lack the right", str(error))
