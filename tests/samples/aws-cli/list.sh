#!/bin/sh
# The buckets of the account, and the objects of one of them: the default bucket, or the first argument.
set -eu
aws s3 ls
aws s3 ls "s3://${1:-$AWS_DEFAULT_BUCKET}"
