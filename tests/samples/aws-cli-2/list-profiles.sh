#!/bin/sh
# The profiles that --profile can name.
set -eu
aws configure list-profiles
