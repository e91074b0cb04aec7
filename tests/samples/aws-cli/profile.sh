#!/bin/sh
# The identity of the profile that the first argument names.
set -eu
aws sts get-caller-identity --query Arn --output text --profile "$1"
