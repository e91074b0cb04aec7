"""The subcommands of `ground` and their options."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import aws, background, gobuild, pytools, run
from .workspace import GroundError


def main() -> int:
    """Parse, dispatch, and turn what went wrong into one message."""
    try:
        if sys.argv[1:2] == ["aws-account"]:
            return aws.account(sys.argv[2:])
        options = _parser().parse_args()
        if options.command == "build":
            gobuild.build(options.name or gobuild.DEFAULT)
            if not options.name:
                pytools.install()
            return 0
        if options.command == "up":
            return run.up(options.dir, with_kubernetes=not options.no_kubernetes, with_aws=not options.no_aws,
                          until_eof=options.until_eof, crds=options.crds)
        if options.command == "start":
            return background.start(options.crds)
        return background.stop()
    except GroundError as error:
        print(f"ground: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ground", description="A real Kubernetes control plane and an AWS, "
                                     "on this machine, from pinned packages.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build what is missing, and only that")
    build.add_argument("name", nargs="*", metavar="NAME", help=f"of {', '.join(gobuild.PROGRAMS)}; "
                       f"default: {', '.join(gobuild.DEFAULT)} and the Python tools")

    up = commands.add_parser("up", help="start in the foreground; print 'ready FILE'; stop by Ctrl-C or SIGTERM")
    up.add_argument("--dir", type=Path, required=True, help="where everything of this run is kept")
    alone = up.add_mutually_exclusive_group()
    alone.add_argument("--no-aws", action="store_true", help="the control plane alone")
    alone.add_argument("--no-kubernetes", action="store_true", help="the AWS alone, with kubectl and Helm for a "
                       "cluster of yours")
    up.add_argument("--until-eof", action="store_true", help="also stop when standard input ends")

    start = commands.add_parser("start", help="start in the background and print how to reach it")
    for command in (up, start):
        command.add_argument("--crds", type=Path, action="append", default=[], metavar="PATH",
                             help="a file or folder of CRDs, installed early enough for the garbage collector "
                             "to know them from the start; may be repeated")
    commands.add_parser("stop", help="stop what `start` started and remove all of it")
    commands.add_parser("aws-account", help="set up an AWS account: user, roles, buckets (--help)")
    return parser
