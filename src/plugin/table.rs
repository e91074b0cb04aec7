//! Tables as `kubectl` prints them.

use super::screen::harmless;

/// A table with aligned columns and three spaces between them. Only the last column may be long.
pub(super) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let cells =
        |row: &[String]| row.iter().map(|cell| if cell.is_empty() { "-" } else { cell }).map(harmless).collect();
    let mut lines: Vec<Vec<String>> = vec![header.iter().map(|&name| name.to_owned()).collect()];
    lines.extend(rows.iter().map(|row| cells(row)));
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..header.len()).map(|column| width(column).unwrap_or_default()).collect();
    let padded = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(padded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_an_empty_cell_is_a_dash() {
        let rows = [vec!["alice".to_owned(), String::new()], vec!["b".to_owned(), "long".to_owned()]];
        assert_eq!(table(&["NAME", "X"], &rows), "NAME    X\nalice   -\nb       long\n");
    }
}
