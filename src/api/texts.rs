//! A list of texts that takes little memory.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
};
use std::fmt;

/// A list of short texts in two allocations. A `Vec<String>` makes one for each text, which costs
/// half as much again as a text of 63 bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// The texts, one after the other.
    all: Box<str>,
    /// The end of each text in `all`, in bytes.
    ends: Box<[u32]>,
}

impl Texts {
    /// Whether the list holds no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The texts in their order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.all[begin as usize..*end as usize])
    }

    /// Whether the list holds this text.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        self.iter().any(|it| it == text)
    }
}

/// A list of more than 4 GiB loses the texts behind that length. No request is as long.
impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        let (mut all, mut ends) = (String::new(), Vec::new());
        for text in texts {
            let Ok(end) = u32::try_from(all.len() + text.as_ref().len()) else { break };
            all.push_str(text.as_ref());
            ends.push(end);
        }
        Self { all: all.into_boxed_str(), ends: ends.into_boxed_slice() }
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List)
    }
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
        let mut texts: Vec<String> = Vec::new();
        while let Some(text) = list.next_element()? {
            texts.push(text);
        }
        Ok(texts.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        #[test]
        fn texts_are_the_list_that_they_were_made_of(list in vec(".{0,3}", 0..5), other in ".{0,3}") {
            let texts: Texts = list.iter().collect();
            prop_assert_eq!(texts.iter().collect::<Vec<_>>(), list.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(texts.is_empty(), list.is_empty());
            prop_assert_eq!(texts.contains(&other), list.contains(&other));
            let json = serde_json::to_string(&list).unwrap();
            prop_assert_eq!(serde_json::to_string(&texts).unwrap(), &json[..]);
            prop_assert_eq!(serde_json::from_str::<Texts>(&json).unwrap(), texts);
        }
    }

    #[test]
    fn texts_take_four_bytes_each_beside_their_own_length() {
        let texts: Texts = (0..32).map(|at| format!("{at:063}")).collect();
        assert_eq!(texts.all.len() + size_of_val(&*texts.ends), 32 * (63 + 4));
    }

    #[test]
    fn a_list_with_something_else_is_refused() {
        for json in [r#"["a", 1]"#, r#""a""#, r#"{"a": "b"}"#, "[null]"] {
            assert!(serde_json::from_str::<Texts>(json).is_err(), "{json}");
        }
    }
}
