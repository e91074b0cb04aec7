"""What a user of DataRobot runs, with DataRobot's own client (`datarobot`). It prints what it saw, in JSON.

    DATAROBOT_ENDPOINT=URL DATAROBOT_API_TOKEN=TOKEN [DATAROBOT_CREDENTIAL_ID=ID] datarobot_user.py [OPTION...]

Each option is done in the order in which the options are listed here. A call that DataRobot refuses is
{"error": TEXT, "status": NUMBER} in place of its result.

    --create-basic NAME USER PASSWORD
    --create-oauth NAME TOKEN REFRESH_TOKEN
    --create-s3 NAME KEY SECRET TOKEN
    --update-s3 KEY SECRET TOKEN    changes the credential DATAROBOT_CREDENTIAL_ID
    --score FROM TO                 runs a batch prediction in S3 with the credential DATAROBOT_CREDENTIAL_ID
    --delete                        deletes the credential DATAROBOT_CREDENTIAL_ID
"""
import argparse
import json
import os

import datarobot as dr
from datarobot.errors import AsyncProcessUnsuccessfulError, ClientError, ServerError

DEPLOYMENT = "5c6f7a9e9ca9b20017ff95a2"


def seen(call):
    """The result of a call, or the refusal."""
    try:
        return call()
    except (ClientError, ServerError) as error:
        return {"error": str(error), "status": error.status_code}


def shown(credential):
    """What the client says of a credential."""
    return {"id": credential.credential_id, "name": credential.name, "type": credential.credential_type,
            "description": credential.description}


def score(credential, source, target):
    """The end of a batch prediction: its status and the explanation."""
    job = dr.BatchPredictionJob.score(
        DEPLOYMENT,
        intake_settings={"type": "s3", "url": source, "credential_id": credential},
        output_settings={"type": "s3", "url": target, "credential_id": credential},
    )
    try:
        job.wait_for_completion(max_wait=60)
    except AsyncProcessUnsuccessfulError:
        pass  # Its status says so, too.
    status = job.get_status()
    return {"status": status["status"], "details": status["status_details"]}


def update(credential, key, secret, token):
    """Replaces the three values of an S3 credential in one call."""
    found = dr.Credential.get(credential)
    found.update(aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token)
    return shown(found)


parser = argparse.ArgumentParser()
parser.add_argument("--create-basic", nargs=3)
parser.add_argument("--create-oauth", nargs=3)
parser.add_argument("--create-s3", nargs=4)
parser.add_argument("--update-s3", nargs=3)
parser.add_argument("--score", nargs=2)
parser.add_argument("--delete", action="store_true")
options = parser.parse_args()
credential = os.environ.get("DATAROBOT_CREDENTIAL_ID")

saw = {"client": seen(lambda: dr.Client() and dr.__version__)}
if isinstance(saw["client"], str):
    if options.create_basic:
        name, user, password = options.create_basic
        saw["basic"] = seen(lambda: shown(dr.Credential.create_basic(name, user, password)))
    if options.create_oauth:
        name, token, refresh_token = options.create_oauth
        saw["oauth"] = seen(lambda: shown(dr.Credential.create_oauth(name, token, refresh_token)))
    if options.create_s3:
        name, key, secret, token = options.create_s3
        saw["s3"] = seen(lambda: shown(dr.Credential.create_s3(
            name, aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token)))
    if options.update_s3:
        saw["updated"] = seen(lambda: update(credential, *options.update_s3))
    if options.score:
        saw["score"] = seen(lambda: score(credential, *options.score))
    saw["credentials"] = seen(lambda: [shown(each) for each in dr.Credential.list()])
    if credential:
        saw["credential"] = seen(lambda: shown(dr.Credential.get(credential)))
    if options.delete:
        saw["deleted"] = seen(lambda: dr.Credential.get(credential).delete())
print(json.dumps(saw))
