#!/bin/sh
# Where the CLI found its settings, and one of them.
set -eu
aws configure list
aws configure get region
