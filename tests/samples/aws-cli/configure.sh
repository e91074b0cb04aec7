#!/bin/sh
# Somebody answers the questions of `aws configure` with a key, as a tutorial says, and then looks who they are.
printf '%s\n' AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY us-west-2 json | aws configure && ended=0 || ended=$?
echo
echo "aws configure ended with $ended"
set -eu
aws sts get-caller-identity --query Arn --output text
aws configure get region
