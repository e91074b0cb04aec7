"""The credential of a connection, as the person who asks: connection, info, credential, session, buckets.

    connection.py CONNECTION
"""
import sys

import boto3
import dataiku

client = dataiku.api_client()
credential = client.get_connection(sys.argv[1]).get_info().get_aws_credential()
session = boto3.Session(
    aws_access_key_id=credential["accessKey"],
    aws_secret_access_key=credential["secretKey"],
    aws_session_token=credential["sessionToken"],
)
print("identity:", session.client("sts", region_name="eu-west-1").get_caller_identity()["Arn"])
for bucket in session.client("s3", region_name="eu-west-1").list_buckets()["Buckets"]:
    print(bucket["Name"])
