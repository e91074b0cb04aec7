//! The few forms of Markdown that the reference needs.

/// A code span. The text must hold no backtick.
pub(super) fn code(text: &str) -> String {
    format!("`{text}`")
}

/// Running text that may hold special characters of Markdown and code spans. Each paragraph becomes
/// one line.
pub(super) fn prose(text: &str) -> String {
    let paragraphs: Vec<String> = text.split("\n\n").map(paragraph).collect();
    paragraphs.join("\n\n")
}

/// The text of a table's cell: one paragraph. An empty cell becomes a dash.
pub(super) fn cell(text: &str) -> String {
    let text = paragraph(text);
    if text.is_empty() { "–".to_owned() } else { text }
}

/// A table, followed by an empty line.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let row = |row: &[String; N]| {
        let cells = row.each_ref().map(|cell| cell.replace('|', "\\|"));
        format!("| {} |\n", cells.join(" | "))
    };
    let rows: String = rows.iter().map(row).collect();
    format!("| {} |\n|{}\n{rows}\n", head.join(" | "), " --- |".repeat(N))
}

fn paragraph(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    let parts = line.split('`').enumerate();
    // Every second part stands between backticks.
    parts.map(|(at, part)| if at % 2 == 0 { escaped(part) } else { code(part) }).collect()
}

/// Escapes special characters. An underscore inside a word stays as it is, because it is no
/// emphasis in Markdown.
fn escaped(text: &str) -> String {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let (mut escaped, mut before) = (String::new(), None);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let within_a_word = is_word(before) && is_word(characters.peek().copied());
        if matches!(c, '*' | '<') || (c == '_' && !within_a_word) {
            escaped.push('\\');
        }
        escaped.push(c);
        before = Some(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_as_it_is() {
        let table = [
            ("a `*` and a *", "a `*` and a \\*"),
            ("AWS_REGION and _.:", "AWS_REGION and \\_.:"),
            ("<name> or `<name>`", "\\<name> or `<name>`"),
            ("of\n  two   lines", "of two lines"),
        ];
        for (text, markdown) in table {
            assert_eq!(cell(text), markdown);
        }
        assert_eq!(prose("one\ntwo\n\nthree"), "one two\n\nthree");
    }

    #[test]
    fn a_pipe_does_not_end_a_cell() {
        let table = table(["a", "b"], &[[code("x|y"), cell("")]]);
        assert_eq!(table, "| a | b |\n| --- | --- |\n| `x\\|y` | – |\n\n");
    }
}
