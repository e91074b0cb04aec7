#!/bin/sh
# The machines of the account, each with its instance profile.
set -eu
aws ec2 describe-instances --output text --query 'Reservations[].Instances[].[InstanceId,IamInstanceProfile.Arn]'
