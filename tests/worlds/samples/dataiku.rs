//! What Dataiku's pages do.

use super::{
    ALICE, Held,
    Pod::{Admin, Injected, Terminal},
    Right::{Refused, Works},
    Sample, Section,
};

/// The credential of a connection.
pub const DATAIKU_AWS: Section = Section {
    origin: "Dataiku: AWS credentials",
    about: "Dataiku documents a chain: the client, a connection, its info, its AWS credential, a session of boto3. DSS assumes \
            the role, as the owner of the API key.",
    samples: &[
        Sample {
            title: "`api_client()` → connection → `get_info()` → `get_aws_credential()` → `boto3.Session` → `list_buckets`",
            file: "dataiku/connection.py",
            arguments: &["s3"],
            pod: Injected,
            right: Works(&["assumed-role/ds-from-dss/alice", "{bucket}", "{other}"]),
            result: "works: `DKU_DSS_URL` and `DKU_API_KEY` are in the pod",
        },
        Sample {
            title: "the same",
            file: "dataiku/connection.py",
            arguments: &["s3"],
            pod: Terminal,
            right: Works(&["assumed-role/ds-from-dss/alice", "{bucket}"]),
            result: "works: `~/.dataiku/config.json` is in the pod",
        },
        Sample {
            title: "`dataiku.set_remote_dss` first",
            file: "dataiku/remote.py",
            arguments: &["s3"],
            pod: Injected,
            right: Works(&["{bucket}", "{other}"]),
            result: "works, with the URL and the key of the mounted Secret",
        },
        Sample {
            title: "a connection whose details the person may not read",
            file: "dataiku/connection.py",
            arguments: &["payroll"],
            pod: Injected,
            right: Refused(&["DataikuException", "payroll"]),
            result: "refused by DSS",
        },
    ],
    held: &[],
    notes: &[
        "**The package `dataiku` is a stand-in here.** Your DSS serves the real one, and no public registry has it. \
         [The stand-in](../tests/samples/stand-in/dataiku/__init__.py) has its documented order of look-up (`set_remote_dss`, then \
         `DKU_DSS_URL` and `DKU_API_KEY`, then `~/.dataiku/config.json`) and nothing else. `dataikuapi` and boto3 are the real ones.",
        "A session of such a credential ends, and boto3 does not renew it. [Before and after](dataiku.md#before-and-after) shows \
         what does.",
    ],
};

/// The caller, and acting as another user.
pub const DATAIKU_IDENTITY: Section = Section {
    origin: "Dataiku: who am I, and impersonation",
    about: "Dataiku's pages on authentication ask DSS who the caller is, and act as somebody else.",
    samples: &[
        Sample {
            title: "`get_auth_info()`, and `with_secrets`",
            file: "dataiku/who_am_i.py",
            arguments: &[],
            pod: Injected,
            right: Works(&["login: alice", "'analysts'", "'pin'"]),
            result: "the person, with the names of the person's own secrets",
        },
        Sample {
            title: "`get_auth_info_from_browser_headers` in the backend of a webapp (Flask)",
            file: "dataiku/webapp.py",
            arguments: &["{cookie}"],
            pod: Injected,
            right: Works(&["visitor: bob", ALICE]),
            result: "the visitor of DSS; the AWS credential stays that of the pod ([webapps](dataiku.md#webapps))",
        },
        Sample {
            title: "the same, for a browser that is not logged in",
            file: "dataiku/webapp.py",
            arguments: &[""],
            pod: Injected,
            right: Refused(&["DataikuException", "no user who is logged in"]),
            result: "refused by DSS",
        },
        Sample {
            title: "`get_user(…).get_client_as()`",
            file: "dataiku/as_another.py",
            arguments: &["bob"],
            pod: Injected,
            right: Refused(&["only an admin may act as another user"]),
            result: "refused by DSS: the key is an ordinary person's",
        },
        Sample {
            title: "the same",
            file: "dataiku/as_another.py",
            arguments: &["bob"],
            pod: Admin,
            right: Works(&["now: bob"]),
            result: "works: the other user",
        },
    ],
    held: &[
        Held {
            title: "an administrator, for whom `adminKeys` is not set",
            test: "simulated::dataiku::admins::an_administrator_s_key_is_delivered_only_if_allow_says_so",
            result: "no API key (`DssAdminKey`)",
        },
        Held {
            title: "a global API key with an associated user, offered by `apiKeySecretRef`",
            test: "simulated::dataiku::kinds::a_global_key_that_acts_as_the_person_is_not_delivered",
            result: "not delivered (`DssKeyNotPersonal`), because it keeps rights of its own",
        },
    ],
    notes: &[],
};

/// A user's own settings.
pub const DATAIKU_SETTINGS: Section = Section {
    origin: "Dataiku: own settings",
    about: "A user changes the user's own settings with the user's own key.",
    samples: &[
        Sample {
            title: "`user_properties`, `add_secret`, `set_basic_connection_credential`, `set_basic_plugin_credential`, `save`",
            file: "dataiku/own_settings.py",
            arguments: &[],
            pod: Injected,
            right: Works(&["'colour': 'green'", "warehouse", "jira", "'mail'", "'pin'"]),
            result: "works",
        },
        Sample {
            title: "an admin property among one's own settings",
            file: "dataiku/admin_property.py",
            arguments: &["arn:aws:iam::{account}:role/ds-stolen"],
            pod: Injected,
            right: Works(&["visible: False", "visible after it was saved: False"]),
            result: "neither visible nor changed: the role of a person is not the person's to choose",
        },
        Sample {
            title: "`get_user(…).get_settings()` of another user",
            file: "dataiku/others_settings.py",
            arguments: &["bob"],
            pod: Injected,
            right: Refused(&["you are not admin"]),
            result: "refused by DSS",
        },
    ],
    held: &[],
    notes: &[
        "That a real DSS ignores an admin property in `PUT /current-user` is assumed from Dataiku's documentation.",
    ],
};
