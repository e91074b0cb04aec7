//! The objects of an answer, each with the line in which it begins. Pure.

use crate::import::Wrong;
use serde_json::Value;

/// The objects of an answer: those of its list `data`, those of a bare list, or the one object.
///
/// # Errors
/// [`Wrong`] with the file and the line, if the text is no JSON.
pub(super) fn elements(file: &str, text: &str) -> Result<Vec<(usize, Value)>, Wrong> {
    let whole: Value =
        serde_json::from_str(text).map_err(|error| Wrong::new(format!("{file}:{}: no JSON: {error}", error.line())))?;
    let is_list = whole.is_array() || whole.get("data").is_some_and(Value::is_array);
    if !is_list {
        return Ok(vec![(1, whole)]);
    }
    let values = match whole {
        Value::Array(values) => values,
        Value::Object(mut object) => match object.remove("data") {
            Some(Value::Array(values)) => values,
            _ => vec![],
        },
        _ => vec![],
    };
    let lines = lines(text);
    Ok(values.into_iter().enumerate().map(|(at, value)| (lines.get(at).copied().unwrap_or(1), value)).collect())
}

/// The lines of the objects that are in a list and in no other object of a list.
fn lines(text: &str) -> Vec<usize> {
    let (mut lines, mut line, mut open) = (Vec::new(), 1, Vec::new());
    let (mut is_text, mut is_escaped) = (false, false);
    for c in text.chars() {
        match c {
            '\n' => line += 1,
            _ if is_escaped => is_escaped = false,
            '\\' if is_text => is_escaped = true,
            '"' => is_text = !is_text,
            _ if is_text => {}
            '{' | '[' => {
                let is_element =
                    c == '{' && open.last() == Some(&'[') && open.iter().filter(|it| **it == '[').count() == 1;
                if is_element {
                    lines.push(line);
                }
                open.push(c);
            }
            '}' | ']' => {
                open.pop();
            }
            _ => {}
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_of_an_answer_has_its_line() {
        let lines = |text: &str| elements("f", text).unwrap().into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        let rows = [
            ("an envelope", "{\"data\": [\n {\"id\": 1, \"a\": {\"b\": []}},\n\n {\"id\": 2}]}", vec![2, 4]),
            ("a list", "[{\"id\": 1},\n{\"id\": 2, \"t\": \"x\\\"{[\"}]", vec![1, 2]),
            ("one object", "{\"id\": 1}", vec![1]),
            ("an empty list", "{\"data\": []}", vec![]),
        ];
        for (row, text, expected) in rows {
            assert_eq!(lines(text), expected, "{row}");
        }
        let failed = elements("people.json", "{\n\"data\": [,]}").unwrap_err();
        assert!(failed.0.starts_with("people.json:2: no JSON: "), "{failed}");
    }
}
