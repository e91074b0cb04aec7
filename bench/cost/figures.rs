//! The figures of a run that are followed over the number of objects, and compared with those of
//! other programs.

/// A figure of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// The rate of a cold start until every object is Ready, as a part of the floor's rate.
    ColdReady,
    /// The rate of a cold start until everything is written, as a part of the floor's rate.
    ColdWritten,
    /// The time from a new object to its Secret, the median, as a multiple of the floor's.
    NewObject,
    /// The time from a new object to its Secret that one in a hundred exceeds, as a multiple of the
    /// floor's.
    NewObjectP99,
    /// The resident memory after a cold start, in megabytes.
    Resident,
    /// The resident memory after a restart, in megabytes.
    ResidentRestarted,
    /// The calls to STS for each renewal.
    StsPerRenewal,
    /// The writes to the API server for each renewal.
    WritesPerRenewal,
    /// The reads of the API server for each renewal.
    ReadsPerRenewal,
}

impl Figure {
    /// The name in the JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::ColdReady => "cold_start_ready_ratio",
            Self::ColdWritten => "cold_start_written_ratio",
            Self::NewObject => "new_object_p50_ratio",
            Self::NewObjectP99 => "new_object_p99_ratio",
            Self::Resident => "resident_megabytes",
            Self::ResidentRestarted => "resident_restarted_megabytes",
            Self::StsPerRenewal => "sts_calls_per_renewal",
            Self::WritesPerRenewal => "writes_per_renewal",
            Self::ReadsPerRenewal => "reads_per_renewal",
        }
    }

    /// The name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::ColdReady => "cold start until all are Ready, rate / floor",
            Self::ColdWritten => "cold start until everything is written, rate / floor",
            Self::NewObject => "new object → Secret, p50 / floor",
            Self::NewObjectP99 => "new object → Secret, p99 / floor",
            Self::Resident => "memory after a cold start, MB",
            Self::ResidentRestarted => "memory after a restart, MB",
            Self::StsPerRenewal => "calls to STS per renewal",
            Self::WritesPerRenewal => "writes per renewal",
            Self::ReadsPerRenewal => "reads per renewal",
        }
    }
}
