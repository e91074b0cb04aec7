//! Every fuzz target panics if an input breaks the promise of its property.

/// Gives an input to the property of this name.
///
/// # Panics
/// The input breaks the promise, or there is no such property.
pub fn keeps_its_promise(name: &str, data: &[u8]) {
    let (_, property) = keyturn::fuzzing::PROPERTIES.into_iter().find(|(its, _)| *its == name).expect("a property");
    if let Err(broken) = property(data) {
        panic!("{broken}");
    }
}
