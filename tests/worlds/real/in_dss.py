"""Code that runs in DSS as a user, with the real clients of Dataiku and AWS. It reads the user's secrets and own
credentials, and prints what it saw, in JSON.

    in_dss.py URL API_KEY PREFIX BUCKET...
"""
import json
import sys

import boto3
import dataikuapi

from buckets import listed

url, api_key, prefix, *buckets = sys.argv[1:]
client = dataikuapi.DSSClient(url, api_key)
secrets = {it["key"]: it["value"] for it in client.get_auth_info(with_secrets=True).get("secrets", [])}


def session():
    """A session with the user's secrets."""
    return boto3.Session(
        aws_access_key_id=secrets[prefix + "ACCESS_KEY_ID"],
        aws_secret_access_key=secrets[prefix + "SECRET_ACCESS_KEY"],
        aws_session_token=secrets[prefix + "SESSION_TOKEN"],
    )


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
    "listed": listed(session(), buckets) if prefix + "SESSION_TOKEN" in secrets else None,
    "credentials": sorted(settings.get("credentials", {})),
    "properties": settings.get("userProperties"),
}))
