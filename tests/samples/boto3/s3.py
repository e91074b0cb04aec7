"""A session with a region of its own; an object written by the client, and read by the resource.

    s3.py BUCKET
"""
import sys

import boto3

bucket = sys.argv[1]
session = boto3.Session(region_name="eu-west-1")

client = session.client("s3")
client.put_object(Bucket=bucket, Key="from-boto3.txt", Body=b"one line\n")
print("listed:", [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"]])

resource = session.resource("s3")
print("read:", resource.Object(bucket, "from-boto3.txt").get()["Body"].read().decode().strip())
