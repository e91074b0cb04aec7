//! What DataRobot's pages on credentials and batch predictions do.

use super::{
    Held,
    Pod::Injected,
    Right::{Refused, Works},
    Sample, Section,
};

/// DataRobot.
pub const DATAROBOT: Section = Section {
    origin: "DataRobot",
    about: "DataRobot's users keep credentials in it, and name one of them by its ID in a job. Alice's AwsConfig has \
            [`push.dataRobot`](datarobot.md) with a token of her own and `deliverToken`, so that `dr.Client()` needs no settings.",
    samples: &[
        Sample {
            title: "`dr.Client()`, `Credential.list()`",
            file: "datarobot/list.py",
            arguments: &[],
            pod: Injected,
            right: Works(&["alice-s3 s3", "mine basic"]),
            result: "works: `DATAROBOT_ENDPOINT` and `DATAROBOT_API_TOKEN` are in the pod",
        },
        Sample {
            title: "the same with `drconfig.yaml`",
            file: "datarobot/config_file.py",
            arguments: &["{mount}/drconfig.yaml"],
            pod: Injected,
            right: Works(&["alice-s3 s3", "mine basic"]),
            result: "works",
        },
        Sample {
            title: "`Credential.get(os.environ[\"DATAROBOT_CREDENTIAL_ID\"])`",
            file: "datarobot/get.py",
            arguments: &[],
            pod: Injected,
            right: Works(&["alice-s3 s3", "keyturn writes this credential"]),
            result: "works; DataRobot shows nobody the values",
        },
        Sample {
            title: "`create_basic`, `create_oauth`, `create_s3`",
            file: "datarobot/create.py",
            arguments: &[],
            pod: Injected,
            right: Works(&["basic oauth s3", "left:", "alice-s3"]),
            result: "works, beside keyturn's",
        },
        Sample {
            title: "`create_s3` with the name that keyturn uses",
            file: "datarobot/name_taken.py",
            arguments: &["alice-s3"],
            pod: Injected,
            right: Refused(&["409"]),
            result: "refused by DataRobot: names are unique in an account",
        },
        Sample {
            title: "`credential_data` of the types `s3`, `basic` and `oauth`",
            file: "datarobot/credential_data.py",
            arguments: &["{mount}"],
            pod: Injected,
            right: Works(&[
                "s3 ['awsAccessKeyId', 'awsSecretAccessKey', 'awsSessionToken', 'credentialType']",
                "basic [",
                "oauth [",
            ]),
            result: "works: the client takes `datarobot-credential.json` of the mounted Secret as it is (`target.formats: \
                     [Env, Files, DataRobot]`)",
        },
        Sample {
            title: "`BatchPredictionJob.score` with S3 as intake and output, by the ID",
            file: "datarobot/batch.py",
            arguments: &["{bucket}"],
            pod: Injected,
            right: Works(&["COMPLETED"]),
            result: "works, if the role allows it",
        },
        Sample {
            title: "the same with another bucket",
            file: "datarobot/batch.py",
            arguments: &["{other}"],
            pod: Injected,
            right: Refused(&["the job failed"]),
            result: "refused by S3: the role does not allow the bucket",
        },
    ],
    held: &[Held {
        title: "a job by the same ID after two renewals, after a hand-over to another person, while suspended",
        test: "real::datarobot_push::a_datarobot_user_has_the_person_s_credential_by_its_id",
        result: "works; works with another ID; aborts",
    }],
    notes: &[
        "**DataRobot is a double here**, and its client is the real one (`datarobot` 3.20.0). [Limits](datarobot.md#limits) says \
         what is not known of the real service.",
        "The job runs in DataRobot and not in the pod. It has the rights of Alice's session, whichever user starts it.",
    ],
};
