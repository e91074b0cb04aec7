"""The buckets of the account. This asks for the right s3:ListAllMyBuckets, which is about no bucket."""
import boto3

for bucket in boto3.client("s3").list_buckets()["Buckets"]:
    print(bucket["Name"])
