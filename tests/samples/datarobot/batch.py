"""A batch prediction that reads S3 and writes to it with the credential that keyturn keeps in DataRobot.

    batch.py BUCKET
"""
import os
import sys

import datarobot as dr
from datarobot.errors import AsyncProcessUnsuccessfulError

dr.Client()
credential = os.environ["DATAROBOT_CREDENTIAL_ID"]
job = dr.BatchPredictionJob.score(
    "5c6f7a9e9ca9b20017ff95a2",
    intake_settings={"type": "s3", "url": f"s3://{sys.argv[1]}/in.csv", "credential_id": credential},
    output_settings={"type": "s3", "url": f"s3://{sys.argv[1]}/out.csv", "credential_id": credential},
)
try:
    job.wait_for_completion(max_wait=60)
except AsyncProcessUnsuccessfulError:
    sys.exit("the job failed: " + job.get_status()["status_details"])
print(job.get_status()["status"])
