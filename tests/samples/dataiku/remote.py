"""The same, where the code names the DSS itself. The URL and the key come from the mounted Secret.

    remote.py CONNECTION
"""
import json
import os
import sys

import boto3
import dataiku

folder = os.path.dirname(os.environ["AWS_CONFIG_FILE"])
with open(os.path.join(folder, "dataiku-config.json")) as file:
    config = json.load(file)
instance = config["dss_instances"][config["default_instance"]]
dataiku.set_remote_dss(instance["url"], instance["api_key"], no_check_certificate=instance["no_check_certificate"])

credential = dataiku.api_client().get_connection(sys.argv[1]).get_info().get_aws_credential()
s3 = boto3.client(
    "s3",
    region_name="eu-west-1",
    aws_access_key_id=credential["accessKey"],
    aws_secret_access_key=credential["secretKey"],
    aws_session_token=credential["sessionToken"],
)
for bucket in s3.list_buckets()["Buckets"]:
    print(bucket["Name"])
