#!/bin/sh
# The credential as variables, for a program that reads nothing else. They end with the session.
set -eu
variables=$(aws configure export-credentials --format env)
eval "$variables"
unset AWS_CONFIG_FILE
python3 -c 'import boto3; print(boto3.client("sts").get_caller_identity()["Arn"])'
