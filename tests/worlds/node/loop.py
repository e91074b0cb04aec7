"""A workload without any knowledge of keyturn. It lists a bucket repeatedly, as the manuals of
boto3 and of the AWS CLI say, and prints one line of JSON for each call.

    loop.py boto3|cli BUCKET
"""
import json
import subprocess
import sys
import time

import boto3

how, bucket = sys.argv[1:]
client = None


def boto():
    global client
    if client is None:
        client = boto3.client("s3")
    client.list_objects_v2(Bucket=bucket)


def cli():
    subprocess.run(["aws", "s3api", "list-objects-v2", "--bucket", bucket], check=True, capture_output=True, text=True)


while True:
    said = {"ok": True}
    try:
        {"boto3": boto, "cli": cli}[how]()
    except subprocess.CalledProcessError as error:
        said = {"ok": False, "error": error.stderr.strip()}
    except Exception as error:
        said = {"ok": False, "error": f"{type(error).__name__}: {error}"}
    print(json.dumps(said), flush=True)
    time.sleep(0.5)
