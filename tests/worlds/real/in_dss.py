"""Code that runs in DSS as a user, with the real clients of Dataiku and AWS. It reads the user's secrets and own
credentials, and prints what it saw, in JSON.

    in_dss.py URL API_KEY PREFIX BUCKET...
"""
import json
import sys

import boto3
import botocore.exceptions
import dataikuapi

url, api_key, prefix, *buckets = sys.argv[1:]
client = dataikuapi.DSSClient(url, api_key)
secrets = {it["key"]: it["value"] for it in client.get_auth_info(with_secrets=True).get("secrets", [])}


def listed():
    """For each bucket the keys in it, or the code of the error."""
    session = boto3.Session(
        aws_access_key_id=secrets[prefix + "ACCESS_KEY_ID"],
        aws_secret_access_key=secrets[prefix + "SECRET_ACCESS_KEY"],
        aws_session_token=secrets[prefix + "SESSION_TOKEN"],
    )
    seen = {}
    for bucket in buckets:
        try:
            answer = session.client("s3", region_name="eu-west-1").list_objects_v2(Bucket=bucket)
            seen[bucket] = [item["Key"] for item in answer.get("Contents", [])]
        except botocore.exceptions.ClientError as error:
            seen[bucket] = error.response["Error"]["Code"]
    return seen


settings = client.get_own_user().get_settings().get_raw()
# The user changes something by hand, with the same client, beside keyturn.
own = client.get_own_user().get_settings()
own.add_secret("NOTE", "by hand")
own.set_basic_connection_credential("warehouse", "me", "my password")
own.user_properties["team"] = "fraud"
own.save()
print(json.dumps({
    "names": sorted(secrets),
    "key": secrets.get(prefix + "ACCESS_KEY_ID"),
    "expires": secrets.get(prefix + "EXPIRATION"),
    "listed": listed() if prefix + "SESSION_TOKEN" in secrets else None,
    "credentials": sorted(settings.get("credentials", {})),
    "properties": settings.get("userProperties"),
}))
