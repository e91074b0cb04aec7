"""Set up one AWS account in ministack the way a customer's account looks to keyturn.

A user `keyturn` that may do nothing but assume roles (the operator's base identity), roles that let it in only
with the right external ID, and buckets of which a role may use one. Whoever calls this twice gets the same
answer twice. It runs in the virtual environment, for it needs boto3; nothing here is specific to ministack
but the root's access key.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

import boto3
from botocore.config import Config

USER = "keyturn"
REGION = "us-east-1"
POLICY = "keyturn-test"


def main() -> None:
    """Create what is missing and print what there is."""
    options = _options()
    root = boto3.Session(aws_access_key_id=options.account, aws_secret_access_key="any", region_name=REGION)
    settings = Config(s3={"addressing_style": "path"}, retries={"mode": "standard"})
    iam, s3 = (root.client(name, endpoint_url=options.endpoint, config=settings) for name in ("iam", "s3"))

    actions = ["sts:AssumeRole", *options.also_allow]
    key = _user(iam, actions)
    for bucket in options.bucket:
        _bucket(s3, bucket)
    role_buckets = dict(options.role_bucket)
    external_ids = [f"{options.cluster}/{namespace}" for namespace in options.namespace]
    roles = {role: _role(iam, role, _trust(options.account, actions, external_ids),
                         role_buckets.get(role, next(iter(options.bucket), None)))
             for role in options.role}
    print(json.dumps({"accessKeyId": key["id"], "secretAccessKey": key["secret"], "roles": roles,
                      "buckets": options.bucket}))


def _user(iam: Any, actions: list[str]) -> dict[str, str]:
    """The user and its access key. AWS tells a secret once, at its creation; a tag of the user remembers it."""
    try:
        iam.create_user(UserName=USER)
    except iam.exceptions.EntityAlreadyExistsException:
        pass
    iam.put_user_policy(UserName=USER, PolicyName=POLICY, PolicyDocument=_policy(_allow(actions, "*")))
    known = {tag["Key"]: tag["Value"] for tag in iam.list_user_tags(UserName=USER)["Tags"]}
    if "secret" not in known:
        made = iam.create_access_key(UserName=USER)["AccessKey"]
        known = {"id": made["AccessKeyId"], "secret": made["SecretAccessKey"]}
        iam.tag_user(UserName=USER, Tags=[{"Key": name, "Value": value} for name, value in known.items()])
    return known


def _bucket(s3: Any, name: str) -> None:
    try:
        s3.create_bucket(Bucket=name)
    except s3.exceptions.BucketAlreadyOwnedByYou:
        pass
    except s3.exceptions.BucketAlreadyExists:
        sys.exit(f"bucket {name} belongs to another account: bucket names are global, as in the real AWS")
    s3.put_object(Bucket=name, Key="hello.txt", Body=f"hello from {name}\n".encode())


def _role(iam: Any, name: str, trust: str, bucket: str | None) -> str:
    try:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    except iam.exceptions.EntityAlreadyExistsException:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    if bucket:
        iam.put_role_policy(RoleName=name, PolicyName=POLICY, PolicyDocument=_policy(
            _allow(["s3:ListBucket"], f"arn:aws:s3:::{bucket}"),
            _allow(["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{bucket}/*")))
    arn: str = iam.get_role(RoleName=name)["Role"]["Arn"]
    return arn


def _trust(account: str, actions: list[str], external_ids: list[str]) -> str:
    """Only the user `keyturn`, and only on behalf of these namespaces of this cluster."""
    return _policy({"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:user/{USER}"}, "Action": actions,
                    "Condition": {"StringEquals": {"sts:ExternalId": external_ids}}})


def _allow(actions: list[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ground aws-account", description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", required=True, metavar="URL", help="aws.endpoint of ground.json")
    parser.add_argument("--account", required=True, type=_account, help="twelve digits; a test takes its own")
    parser.add_argument("--cluster", required=True, metavar="NAME", help="the operator's cluster name")
    parser.add_argument("--namespace", required=True, action="append", metavar="NS",
                        help="a namespace whose external ID (NAME/NS) the roles accept; may be repeated")
    parser.add_argument("--bucket", action="append", default=[], metavar="NAME", help="may be repeated")
    parser.add_argument("--role", action="append", default=[], metavar="NAME",
                        help="a role that may use the first bucket; may be repeated")
    parser.add_argument("--role-bucket", action="append", default=[], metavar="ROLE=BUCKET", type=_pair,
                        help="give ROLE this bucket instead of the first")
    parser.add_argument("--also-allow", action="append", default=[], metavar="ACTION",
                        help="besides sts:AssumeRole, for the user and in the trust policies, e.g. sts:TagSession")
    return parser.parse_args()


def _account(text: str) -> str:
    if not re.fullmatch(r"\d{12}", text):
        raise argparse.ArgumentTypeError("an account id has twelve digits")
    return text


def _pair(text: str) -> tuple[str, str]:
    role, equals, bucket = text.partition("=")
    if not (role and equals and bucket):
        raise argparse.ArgumentTypeError("ROLE=BUCKET expected")
    return role, bucket


if __name__ == "__main__":
    main()
