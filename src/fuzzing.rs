//! FUZZING: the promises that hold for every input of a stranger. A property takes bytes, and says
//! which promise they break. `make fuzz` searches for such bytes, and a test gives every property
//! the inputs in `fuzz/corpus`. The operator does not contain this room.
//!
//! A property states a promise in another way than the code keeps it: by a simple evaluator, by a
//! round trip, or by a comparison of two answers.

mod dss;
mod grants;
mod record;
mod review;
mod roles;
mod selector;

/// Whether an input keeps the promise. The error says which promise it breaks.
pub type Property = fn(&[u8]) -> Result<(), String>;

/// The properties by the names of their fuzz targets and of their corpora.
pub const PROPERTIES: [(&str, Property); 7] = [
    ("arn", roles::an_arn_is_shown_as_it_was_written),
    ("dss", dss::an_answer_shows_no_secret),
    ("grants", grants::a_denial_and_an_exception_only_narrow),
    ("record", record::a_record_is_read_as_it_was_written),
    ("review", review::a_review_only_adds_and_only_once),
    ("selector", selector::a_selector_means_the_same_everywhere),
    ("template", roles::a_template_becomes_a_role_or_nothing),
];

/// The error if a promise does not hold.
fn promise(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}

#[cfg(test)]
mod tests;
