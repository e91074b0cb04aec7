"""The ground that keyturn is proved on: a Kubernetes control plane and an AWS, real enough to say no.

Read from the top down, each module uses only those below it:

    cli           the subcommands and their options
    background    `start` and `stop`: the ground left running for a developer
    run           `up`: everything started, announced, watched and ended together
    isolation     for a ground with a node: namespaces of its own, and an end without traces
    images        what runs in pods, made from what is on this machine (pyimage, oci)
    node          kube-scheduler, kubelet, kube-proxy: pods run
    containerd    what the kubelet starts pods with
    metadata      an AWS machine's metadata endpoint, for SDKs that fall back to it
    controlplane  etcd, kube-apiserver, kube-controller-manager
    aws           ministack, an AWS that checks IAM policies
    tls           the server of TLS in front of it
    inside        furnishes the namespaces: network, mounts (cgroups: control groups)
    processes     children that never outlive this process; free ports; waiting with a deadline
    foreign       CRDs of Argo CD and Flux
    gobuild       the Kubernetes programs and Helm, built from pinned Go modules
    pytools       the virtual environment with ministack, boto3 and the AWS CLI
    workspace     where things are kept, locks, stamps

aws_account is a script of its own: it needs boto3 and therefore runs in the virtual environment. trying and nodetests
belong to `selftest`.
Everything else needs Python's standard library only.
"""
