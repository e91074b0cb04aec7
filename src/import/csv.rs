//! Files of comma-separated values (RFC 4180), as AWS's console writes them for access keys. Pure.

/// The records of a file: fields, each without its quotes.
pub(super) fn records(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start_matches('\u{feff}');
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut is_quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => record.push(std::mem::take(&mut field)),
            '\r' if !is_quoted => {}
            '\n' if !is_quoted => {
                record.push(std::mem::take(&mut field));
                records.push(std::mem::take(&mut record));
            }
            _ => field.push(c),
        }
    }
    if !field.is_empty() || !record.is_empty() {
        record.push(field);
        records.push(record);
    }
    records.retain(|record| record.iter().any(|field| !field.trim().is_empty()));
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_line_ends_and_the_mark_of_excel_are_read() {
        let rows = [
            ("plain", "a,b\n1,2\n", vec![vec!["a", "b"], vec!["1", "2"]]),
            ("of Windows", "\u{feff}a,b\r\n1,\r\n", vec![vec!["a", "b"], vec!["1", ""]]),
            ("quoted", "\"a,\"\"b\"\"\n\",2", vec![vec!["a,\"b\"\n", "2"]]),
            ("empty lines", "\n\na\n\n", vec![vec!["a"]]),
        ];
        for (row, text, expected) in rows {
            assert_eq!(records(text), expected, "{row}");
        }
    }
}
