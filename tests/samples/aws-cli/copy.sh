#!/bin/sh
# A file to a bucket and back: to the default bucket, or to the first argument.
set -eu
bucket=${1:-$AWS_DEFAULT_BUCKET}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "one line" > "$work/up.txt"
aws s3 cp "$work/up.txt" "s3://$bucket/from-the-cli.txt"
aws s3 cp "s3://$bucket/from-the-cli.txt" "$work/down.txt"
cmp "$work/up.txt" "$work/down.txt"
echo "the same file came back"
