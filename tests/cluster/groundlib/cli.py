"""The subcommands of `ground` and their options."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import aws, background, foreign, gobuild, images, isolation, node, run
from .run import Plan
from .workspace import GroundError


def main() -> int:
    """Parse, dispatch, and turn what went wrong into one message."""
    try:
        if sys.argv[1:2] == ["aws-account"]:
            return aws.account(sys.argv[2:])
        # These two are how `up --node` calls itself.
        if sys.argv[1:2] == ["inside"]:
            return run.inside(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5])
        if sys.argv[1:2] == ["bury"]:
            return isolation.bury(Path(sys.argv[2]), int(sys.argv[3]))
        return _run(_parser().parse_args())
    except GroundError as error:
        print(f"ground: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.command == "build":
        if options.name:
            gobuild.build(options.name)
        else:
            run.prepare(Plan(node=options.node))
            gobuild.build(gobuild.OF_TESTS)
        return 0
    if options.command == "up":
        if options.node and options.no_kubernetes:
            raise GroundError("a node without Kubernetes is none")
        if options.kubeconfig and options.no_kubernetes:
            raise GroundError("--kubeconfig names a Kubernetes, and --no-kubernetes wants none")
        if options.node and options.no_controllers:
            raise GroundError("a node without controllers runs nothing")
        return run.up(options.dir, _plan(options), options.until_eof)
    if options.command == "start":
        return background.start(_plan(options), _again(options))
    if options.command == "stop":
        return background.stop()
    if options.command == "which":
        print(gobuild.path_of(options.name))
        return 0 if gobuild.is_there(options.name) else 1
    if options.command == "foreign-crds":
        foreign.copy_into(options.dir)
        return 0
    if options.command == "versions":
        print(*gobuild.versions())
        return 0
    if options.command == "node-packages":
        print(node.PACKAGES)
        return 0
    if options.command == "node-check":
        missing = node.missing()
        print(missing or "this machine can run a node")
        return 1 if missing else 0
    if options.command == "image":
        images.operator(options.binary_dir, options.tag, options.out)
        return 0
    node.load(options.dir or background.RUNNING, options.archive)
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    starting = vars(options)
    if options.kubeconfig and (options.node or options.node_role or options.kubelet_defaults):
        raise GroundError("--node, --node-role and --kubelet-defaults are about a node of the ground's own, and "
                          "--kubeconfig names a cluster that has its own")
    if bool(options.kubeconfig) != bool(options.load_images) or (options.host and not options.kubeconfig):
        raise GroundError("--kubeconfig and --load-images belong together, and --host belongs to them")
    return Plan(kubernetes=not starting.get("no_kubernetes"), aws=not starting.get("no_aws"),
                crds=tuple(str(path.resolve()) for path in options.crds), node=options.node,
                controllers=not starting.get("no_controllers"), durable=bool(starting.get("durable")),
                patient_kubelet=options.kubelet_defaults, node_role=options.node_role,
                kubeconfig=str(options.kubeconfig.resolve()) if options.kubeconfig else "",
                load_images=options.load_images, host=options.host)


def _again(options: argparse.Namespace) -> list[str]:
    """The options of `start`, for `up`."""
    flags = {"--node": options.node, "--kubelet-defaults": options.kubelet_defaults, "--node-role": options.node_role}
    values = {"--kubeconfig": options.kubeconfig, "--load-images": options.load_images, "--host": options.host}
    return [*(f"--crds={path}" for path in options.crds), *(flag for flag, given in flags.items() if given),
            *(f"{name}={value}" for name, value in values.items() if value)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ground", description="A real Kubernetes control plane and an AWS, "
                                     "on this machine, from pinned packages; with a node, if it may be root.",
                                     allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build what is missing, and only that")
    what = build.add_mutually_exclusive_group()
    what.add_argument("name", nargs="*", default=[], metavar="NAME", help=f"of {', '.join(gobuild.PROGRAMS)}; "
                      f"default: {', '.join([*gobuild.DEFAULT, *gobuild.OF_TESTS])} and the Python tools")
    what.add_argument("--node", action="store_true", help="the default and what a node needs, with the tests' images")

    up = commands.add_parser("up", help="start in the foreground; print 'ready FILE'; stop by Ctrl-C or SIGTERM")
    up.add_argument("--dir", type=Path, required=True, help="where everything of this run is kept")
    alone = up.add_mutually_exclusive_group()
    alone.add_argument("--no-aws", action="store_true", help="the control plane alone")
    alone.add_argument("--no-kubernetes", action="store_true", help="the AWS alone, with kubectl and Helm for a "
                       "cluster of yours")
    up.add_argument("--no-controllers", action="store_true", help="without kube-controller-manager, which setup-envtest "
                    "does not install: nothing collects garbage or empties namespaces")
    up.add_argument("--durable", action="store_true", help="etcd writes to the disk, and etcd and the API server are "
                    "started again when somebody has killed them")
    up.add_argument("--until-eof", action="store_true", help="also stop when standard input ends")

    start = commands.add_parser("start", help="start in the background and print how to reach it")
    for command in (up, start):
        command.add_argument("--crds", type=Path, action="append", default=[], metavar="PATH",
                             help="a file or folder of CRDs, installed early enough for the garbage collector "
                             "to know them from the start; may be repeated")
        command.add_argument("--node", action="store_true", help="with a node, so that pods run (Linux, root, some "
                             "packages)")
        command.add_argument("--kubelet-defaults", action="store_true", help="the kubelet's own settings: a changed "
                             "Secret takes up to a minute and a half to reach its pod, instead of seconds")
        command.add_argument("--node-role", action="store_true", help="a metadata endpoint offers all pods a role of "
                             "the node")
        command.add_argument("--kubeconfig", type=Path, metavar="PATH", help="somebody's cluster (kind, k3d, …) in "
                             "place of one of the ground's own; what is made there is removed at the end")
        command.add_argument("--load-images", default="", metavar="'CMD {}'", help="what gives an archive of images "
                             "to that cluster's nodes: 'kind load image-archive {}', 'k3d image import {}'")
        command.add_argument("--host", default="", metavar="ADDRESS", help="this machine's address as pods of that "
                             "cluster reach it; default: the one towards its API server, or out of this machine")
    commands.add_parser("stop", help="stop what `start` started and remove all of it")

    which = commands.add_parser("which", help="print where a program is, or will be (then 1)")
    which.add_argument("name", choices=gobuild.PROGRAMS, metavar="NAME")
    crds = commands.add_parser("foreign-crds", help="put CRDs of Argo CD and Flux into a folder")
    crds.add_argument("dir", type=Path, metavar="DIR")
    commands.add_parser("versions", help="print the versions of Kubernetes that GROUND_KUBERNETES may name")
    commands.add_parser("node-packages", help="print Debian's packages that a node needs")
    commands.add_parser("node-check", help="say whether this machine can run a node, or what is missing (then 1)")
    image = commands.add_parser("image", help="make the operator's image of static programs and the Dockerfile")
    image.add_argument("--binary-dir", type=Path, required=True, metavar="DIR", help="where `keyturn` and `keyturn-endpoint` are")
    image.add_argument("--tag", default="localhost/keyturn:dev", help="default: %(default)s")
    image.add_argument("--out", type=Path, required=True, metavar="FILE", help="an OCI archive")
    load = commands.add_parser("load", help="give the images of an archive to a running ground's node")
    load.add_argument("archive", type=Path, metavar="FILE")
    load.add_argument("--dir", type=Path, help="of `up`; default: the one that `start` started")
    commands.add_parser("aws-account", help="set up an AWS account: user, roles, buckets (--help)")
    return parser
