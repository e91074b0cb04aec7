//! What tutorials about AWS do.

use super::{
    ALICE, Held,
    Pod::{ByHand, Endpoint, Injected, Scoped, Terminal},
    Right::{Refused, Works},
    Sample, Section,
};

/// The AWS CLI.
pub const AWS_CLI: Section = Section {
    origin: "AWS CLI",
    about: "Lectures on the AWS CLI begin with `aws configure`. In a pod of keyturn there is nothing to configure.",
    samples: &[
        Sample {
            title: "`aws s3 ls`: the buckets, and the objects of one",
            file: "aws-cli/list.sh",
            arguments: &[],
            pod: Injected,
            right: Works(&["{bucket}", "{other}", "hello.txt"]),
            result: "works, if the role allows it",
        },
        Sample {
            title: "the same",
            file: "aws-cli/list.sh",
            arguments: &["{bucket}"],
            pod: Terminal,
            right: Works(&["{bucket}", "hello.txt"]),
            result: "works; `AWS_DEFAULT_BUCKET` is not set there",
        },
        Sample {
            title: "`aws s3 ls` of another bucket",
            file: "aws-cli/list.sh",
            arguments: &["{other}"],
            pod: Injected,
            right: Refused(&["AccessDenied"]),
            result: "refused by S3: the role does not allow the bucket",
        },
        Sample {
            title: "`aws s3 cp`, up and down",
            file: "aws-cli/copy.sh",
            arguments: &[],
            pod: Injected,
            right: Works(&["the same file came back"]),
            result: "works",
        },
        Sample {
            title: "the same",
            file: "aws-cli/copy.sh",
            arguments: &["{bucket}"],
            pod: ByHand,
            right: Works(&["the same file came back"]),
            result: "works",
        },
        Sample {
            title: "the same",
            file: "aws-cli/copy.sh",
            arguments: &["{bucket}"],
            pod: Endpoint,
            right: Works(&["the same file came back"]),
            result: "works",
        },
        Sample {
            title: "`aws s3 cp` to another bucket",
            file: "aws-cli/copy.sh",
            arguments: &["{other}"],
            pod: Injected,
            right: Refused(&["upload failed", "AccessDenied"]),
            result: "refused by S3: the role does not allow the bucket",
        },
        Sample {
            title: "`aws ec2 describe-instances`",
            file: "aws-cli/describe-instances.sh",
            arguments: &[],
            pod: Injected,
            right: Works(&["{instance}", ":instance-profile/machine"]),
            result: "works, if the role allows it",
        },
        Sample {
            title: "`aws configure list`, `get region`",
            file: "aws-cli/settings.sh",
            arguments: &[],
            pod: Injected,
            right: Works(&["custom-process", "AWS_DEFAULT_REGION", "\neu-west-1\n"]),
            result: "works; the credential is shown as `custom-process`",
        },
        Sample {
            title: "`aws configure list-profiles`",
            file: "aws-cli-2/list-profiles.sh",
            arguments: &[],
            pod: Injected,
            right: Works(&["default\nlake\n"]),
            result: "works: `default`, and the names in [`spec.profiles`](pods.md#profiles)",
        },
        Sample {
            title: "`aws configure export-credentials`",
            file: "aws-cli-2/export-credentials.sh",
            arguments: &[],
            pod: Injected,
            right: Works(&[ALICE]),
            result: "works; the variables end with the session, and nobody renews them",
        },
        Sample {
            title: "`aws … --profile lake`",
            file: "aws-cli/profile.sh",
            arguments: &["lake"],
            pod: Injected,
            right: Works(&["assumed-role/ds-other/alice"]),
            result: "works: the session of that profile's role",
        },
        Sample {
            title: "`aws … --profile` with a name that the AwsConfig does not have",
            file: "aws-cli/profile.sh",
            arguments: &["production"],
            pod: Injected,
            right: Refused(&["The config profile (production) could not be found"]),
            result: "an error that names the profile, and no other identity",
        },
        Sample {
            title: "`aws configure`, answered with a key",
            file: "aws-cli/configure.sh",
            arguments: &[],
            pod: Injected,
            right: Works(&["{mount}/config", "aws configure ended with 255", ALICE, "eu-west-1"]),
            result: "an error that names the file; the pod is still Alice",
        },
        Sample {
            title: "the same",
            file: "aws-cli/configure.sh",
            arguments: &[],
            pod: Endpoint,
            right: Works(&["{mount}-endpoint/credentials", "aws configure ended with 255", ALICE, "eu-west-1"]),
            result: "the same",
        },
        Sample {
            title: "the same",
            file: "aws-cli/configure.sh",
            arguments: &[],
            pod: Terminal,
            right: Works(&[".aws/credentials", "aws configure ended with 255", ALICE, "eu-west-1"]),
            result: "the same",
        },
        Sample {
            title: "the same",
            file: "aws-cli/configure.sh",
            arguments: &[],
            pod: ByHand,
            right: Works(&["{mount}/config", "aws configure ended with 255", ALICE, "eu-west-1"]),
            result: "the same, because the example sets `AWS_SHARED_CREDENTIALS_FILE`",
        },
    ],
    held: &[],
    notes: &[
        "`aws configure` writes two files: the key into `AWS_SHARED_CREDENTIALS_FILE`, which is `/dev/null`, and the rest into \
         `AWS_CONFIG_FILE`, which is mounted read only. The second one is the error (`Read-only file system`). With an endpoint, both files are \
         read only.",
        "In a pod by hand without `AWS_SHARED_CREDENTIALS_FILE=/dev/null`, the key goes into `~/.aws/credentials`, and wins over \
         the person's credential from then on. [Images](pods.md#images) says so too.",
        "`list-profiles` and `export-credentials` are commands of version 2 of the CLI; the test runs these two with that version, \
         and the others with version 1.",
        "The region of a pod is `spec.region` of its AwsConfig. A command takes another one by `--region`.",
    ],
};

/// boto3.
pub const BOTO3: Section = Section {
    origin: "boto3",
    about: "A session without keys in the code. boto3 asks for the credential again before it ends.",
    samples: &[
        Sample {
            title: "`Session(region_name=…)`, client and resource of S3: write, list, read",
            file: "boto3/s3.py",
            arguments: &["{bucket}"],
            pod: Injected,
            right: Works(&["'hello.txt'", "read: one line"]),
            result: "works",
        },
        Sample {
            title: "the same",
            file: "boto3/s3.py",
            arguments: &["{bucket}"],
            pod: Endpoint,
            right: Works(&["read: one line"]),
            result: "works",
        },
        Sample {
            title: "the same with another bucket",
            file: "boto3/s3.py",
            arguments: &["{other}"],
            pod: Injected,
            right: Refused(&["AccessDenied", "PutObject"]),
            result: "refused by S3: the role does not allow the bucket",
        },
        Sample {
            title: "the same with the bucket of the scope",
            file: "boto3/s3.py",
            arguments: &["{bucket}"],
            pod: Scoped,
            right: Works(&["read: one line"]),
            result: "works",
        },
        Sample {
            title: "EC2: instances and `iam_instance_profile`, client and resource",
            file: "boto3/ec2.py",
            arguments: &[],
            pod: Injected,
            right: Works(&[
                "client: {instance}",
                "resource: {instance} arn:aws:iam::{account}:instance-profile/machine",
            ]),
            result: "works, if the role allows it",
        },
        Sample {
            title: "the same",
            file: "boto3/ec2.py",
            arguments: &[],
            pod: Scoped,
            right: Works(&["client: {instance}", "resource: {instance}"]),
            result: "works: the scope is about S3 only",
        },
        Sample {
            title: "`list_buckets`",
            file: "boto3/list_buckets.py",
            arguments: &[],
            pod: Injected,
            right: Works(&["{bucket}", "{other}"]),
            result: "works, if the role allows `s3:ListAllMyBuckets`",
        },
        Sample {
            title: "the same",
            file: "boto3/list_buckets.py",
            arguments: &[],
            pod: Scoped,
            right: Refused(&["AccessDenied", "ListBuckets"]),
            result: "refused by S3: the scope denies the listing, whatever the role allows",
        },
    ],
    held: &[],
    notes: &[
        "[`scope: Buckets`](behaviour.md#the-session) denies `s3:ListAllMyBuckets` because it is about no bucket. Code under that \
         scope names its bucket, or reads `AWS_DEFAULT_BUCKET`.",
    ],
};

/// A key that its owner rotates.
pub const OWN_KEY: Section = Section {
    origin: "A key of one's own",
    about: "Tutorials create an access key in the console and rotate it by hand.",
    samples: &[],
    held: &[Held {
        title: "a second key, the Secret updated, the first key deactivated ([how](behaviour.md#rotating-it-by-hand))",
        test: "real::samples::each_sample_does_in_a_pod_what_the_table_says",
        result: "the pod works with the second key; the first one is refused",
    }],
    notes: &[],
};

/// keyturn's own identity.
pub const OPERATOR: Section = Section {
    origin: "keyturn's own identity",
    about: "Pages on EKS and EC2 give a program its identity in three ways. Each is a double here; STS is one, too.",
    samples: &[],
    held: &[
        Held {
            title: "the instance role of a machine (IMDSv2)",
            test: "own_identity::each_source_of_the_operators_identity_is_refreshed",
            result: "the ARN is logged; more than 1h is refused with a reason; refreshed without a restart",
        },
        Held {
            title: "a web identity token (IRSA)",
            test: "own_identity::each_source_of_the_operators_identity_is_refreshed",
            result: "the same, and the token is read again from its file",
        },
        Held {
            title: "the endpoint of EKS Pod Identity",
            test: "own_identity::each_source_of_the_operators_identity_is_refreshed",
            result: "the same, and the token is read again from its file",
        },
    ],
    notes: &["[Its settings](../charts/keyturn/README.md#keyturns-own-aws-identity) in the chart."],
};
