"""The code of an API endpoint, with the real clients of Dataiku and AWS. It has nothing but the
content of the Secret, and prints what it saw, in JSON.

    endpoint.py MOUNT CONNECTION BUCKET...
"""
import json
import os
import sys

import boto3
import dataikuapi

from buckets import listed

mount, connection, *buckets = sys.argv[1:]


def session_of(credential):
    """As Dataiku documents it."""
    return boto3.Session(
        aws_access_key_id=credential["accessKey"],
        aws_secret_access_key=credential["secretKey"],
        aws_session_token=credential.get("sessionToken"),
    )


def read(name):
    with open(os.path.join(mount, name)) as file:
        return json.load(file)


def refusals(client, login):
    """The errors of calls as another user, which only administrators may make."""
    another = client.get_user(login).get_client_as()
    calls = {
        "get_auth_info": another.get_auth_info,
        "list_personal_api_keys": another.list_personal_api_keys,
        "create_personal_api_key": lambda: another.create_personal_api_key("stolen"),
        "get_settings": lambda: client.get_user(login).get_settings(),
    }
    errors = {}
    for name, call in calls.items():
        try:
            call()
            errors[name] = None
        except dataikuapi.utils.DataikuException as error:
            errors[name] = str(error)
    return errors


saw = {}
if os.path.exists(os.path.join(mount, "dataiku-config.json")):
    config = read("dataiku-config.json")
    instance = config["dss_instances"][config["default_instance"]]
    client = dataikuapi.DSSClient(
        instance["url"], instance["api_key"], no_check_certificate=instance["no_check_certificate"])
    saw["who"] = client.get_auth_info()
    saw["as_another"] = refusals(client, "bob")
    if connection != "-":
        # The pattern that Dataiku documents.
        saw["documented"] = listed(session_of(client.get_connection(connection).get_info().get_aws_credential()), buckets)
if "DKU_API_KEY" in os.environ:
    client = dataikuapi.DSSClient(os.environ["DKU_DSS_URL"], os.environ["DKU_API_KEY"])
    saw["who_by_variables"] = client.get_auth_info()["associatedDSSUser"]
if os.path.exists(os.path.join(mount, "aws-credential.json")):
    # Its replacement for code that has the dict in hand.
    saw["dict"] = listed(session_of(read("aws-credential.json")), buckets)
# Its replacement: AWS_CONFIG_FILE, and nothing in the code.
saw["mounted"] = listed(boto3.Session(), buckets)
print(json.dumps(saw))
