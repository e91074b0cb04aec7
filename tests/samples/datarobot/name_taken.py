"""A second credential of a name that keyturn uses.

    name_taken.py NAME
"""
import sys

import datarobot as dr

dr.Client()
dr.Credential.create_s3(sys.argv[1], aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="secret")
