"""Credential data inline, instead of an ID: what the client takes for `credential_data`.

    credential_data.py FOLDER
"""
import json
import os
import sys

from datarobot.models.credential import CredentialDataSchema

with open(os.path.join(sys.argv[1], "datarobot-credential.json")) as file:
    s3 = json.load(file)
basic = {"credentialType": "basic", "user": "user", "password": "password"}
oauth = {"credentialType": "oauth", "oauthRefreshToken": "refresh token"}
for data in (s3, basic, oauth):
    print(data["credentialType"], sorted(CredentialDataSchema.check(data)))
