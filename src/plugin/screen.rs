//! The place where answers are shown: standard output, and whether a person looks at it.

use std::{
    env, fmt,
    io::{self, Write},
};

/// The place where answers are shown.
pub struct Screen<'a> {
    out: &'a mut (dyn Write + Send),
    /// Whether it is a terminal. Only on a terminal is a list shown in the place of the former one.
    pub is_terminal: bool,
    /// The colours.
    pub paint: Paint,
}

impl fmt::Debug for Screen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("is_terminal", &self.is_terminal).finish_non_exhaustive()
    }
}

impl<'a> Screen<'a> {
    /// A screen without colours that is no terminal.
    #[must_use]
    pub fn plain(out: &'a mut (dyn Write + Send)) -> Self {
        Self { out, is_terminal: false, paint: Paint::NONE }
    }

    /// Standard output, which may be a terminal. With the variable `NO_COLOR`, which may hold
    /// anything but nothing, there are no colours (no-color.org).
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "every program of a terminal reads this variable, and no flag stands for it"
    )]
    pub fn of(out: &'a mut (dyn Write + Send), is_terminal: bool) -> Self {
        let is_plain = env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        Self { out, is_terminal, paint: Paint(is_terminal && !is_plain) }
    }

    /// Shows a text.
    ///
    /// # Errors
    /// [`io::Error`] if the text cannot be written, for example because nobody reads it any more.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Shows a text in the place of all that a terminal shows.
    ///
    /// # Errors
    /// As for [`Screen::show`].
    pub fn show_alone(&mut self, text: &str) -> io::Result<()> {
        // Erase the display and go to its first line (ECMA-48, ED and CUP).
        self.show(&format!("\u{1b}[2J\u{1b}[H{text}"))
    }
}

/// A text that cannot control a terminal. Messages quote what other systems say, and may hold any
/// character. kubectl shows such characters in another way, too.
pub(super) fn harmless(text: &str) -> String {
    let is_harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    text.chars().map(|c| if is_harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(bool);

impl Paint {
    /// No colours.
    pub const NONE: Self = Self(false);

    /// What needs a look: red.
    pub(super) fn bad(self, line: &str) -> String {
        self.with(31, line)
    }

    /// What is not decided: yellow.
    pub(super) fn unsure(self, line: &str) -> String {
        self.with(33, line)
    }

    /// What is in order: green.
    pub(super) fn good(self, line: &str) -> String {
        self.with(32, line)
    }

    /// A line in a colour (ECMA-48, SGR). The newline at its end stays outside.
    fn with(self, colour: u8, line: &str) -> String {
        let text = line.trim_end_matches('\n');
        if !self.0 || text.is_empty() {
            return line.to_owned();
        }
        format!("\u{1b}[{colour}m{text}\u{1b}[0m{}", &line[text.len()..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_around_the_text_of_a_line_and_only_if_asked_for() {
        assert_eq!(Paint(true).bad("no\n"), "\u{1b}[31mno\u{1b}[0m\n");
        assert_eq!(Paint(true).good(""), "");
        assert_eq!(Paint::NONE.unsure("perhaps\n"), "perhaps\n");
    }

    #[test]
    fn a_message_of_another_system_does_not_control_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\r\n\tc\u{9b}d"), "a\u{fffd}[2Jb\u{fffd}\n\tc\u{fffd}d");
    }

    #[test]
    fn a_screen_that_is_no_terminal_has_no_colours() {
        let mut out = Vec::new();
        let mut screen = Screen::of(&mut out, false);
        assert_eq!(screen.paint, Paint::NONE);
        screen.show("a\n").unwrap();
        assert_eq!(out, b"a\n");
    }
}
