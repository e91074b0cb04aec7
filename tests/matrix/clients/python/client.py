"""The Python clients of the matrix: client.py NAME ADDRESS-OF-S3. One call for each line of standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable


def boto3(address: str) -> Callable[[], object]:
    """One client, as its manual says."""
    import boto3 as library
    from botocore.config import Config

    client = library.client("s3", endpoint_url=address, config=Config(s3={"addressing_style": "path"}))
    return lambda: client.list_objects_v2(Bucket="bucket")


def s3fs(address: str) -> Callable[[], object]:
    """aiobotocore, under s3fs."""
    import s3fs as library

    files = library.S3FileSystem(endpoint_url=address)
    return lambda: files.ls("bucket", refresh=True)


def pyarrow(address: str) -> Callable[[], object]:
    """The AWS SDK for C++, under pyarrow."""
    from pyarrow import fs

    files = fs.S3FileSystem(endpoint_override=address.removeprefix("http://"), scheme="http", region="eu-west-1")
    return lambda: files.open_input_stream("bucket/object").read()


def obstore(address: str) -> Callable[[], object]:
    """object_store of Rust, as it is without a provider of its user's."""
    import obstore as library
    from obstore.store import S3Store

    store = S3Store("bucket", endpoint=address, client_options={"allow_http": True}, region="eu-west-1")
    return lambda: library.get(store, "object").bytes()


def polars(address: str) -> Callable[[], object]:
    """object_store of Rust, under polars."""
    import polars as library

    options = {"aws_endpoint_url": address, "aws_allow_http": "true", "aws_region": "eu-west-1"}
    scan = {"storage_options": options, "credential_provider": None}
    return lambda: library.scan_csv("s3://bucket/object", **scan).collect()


def polars_boto3(address: str) -> Callable[[], object]:
    """The same with polars' own provider, which asks boto3."""
    import polars as library

    options = {"aws_endpoint_url": address, "aws_allow_http": "true", "aws_region": "eu-west-1"}
    provider = library.CredentialProviderAWS()
    scan = {"storage_options": options, "credential_provider": provider}
    return lambda: library.scan_csv("s3://bucket/object", **scan).collect()


def deltalake(address: str) -> Callable[[], object]:
    """The AWS SDK for Rust, under deltalake."""
    from deltalake import DeltaTable

    options = {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "eu-west-1"}
    return lambda: DeltaTable("s3://bucket/table", storage_options=options).version()


CLIENTS = {make.__name__: make for make in (boto3, s3fs, pyarrow, obstore, polars, polars_boto3, deltalake)}


def main() -> None:
    make, call = CLIENTS[sys.argv[1]], None
    # The imports take longest, and a session of the test may be short.
    __import__(sys.argv[1].removesuffix("_boto3"))
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        try:
            # Some clients look for the credential when they are made.
            call = call or make(sys.argv[2])
            call()
            said = {"ok": True}
        except BaseException as error:  # noqa: BLE001 - the panics of Rust are no Exceptions
            said = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
