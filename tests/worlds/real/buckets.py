"""What a session of boto3 sees of buckets."""
import botocore.exceptions


def listed(session, buckets):
    """For each bucket the keys in it, or the code of the error."""
    seen = {}
    for bucket in buckets:
        try:
            answer = session.client("s3", region_name="eu-west-1").list_objects_v2(Bucket=bucket)
            seen[bucket] = [item["Key"] for item in answer.get("Contents", [])]
        except botocore.exceptions.ClientError as error:
            seen[bucket] = error.response["Error"]["Code"]
    return seen
