//! Which line looks how: the same method has the same colour and marker in all figures of a report.

use super::super::summary::Summary;
use super::quality::line_name;

/// The names of lines, each at the number of its look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    names: Vec<String>,
}

impl Looks {
    /// For the methods of these rows: lines of several sizes first, then methods that are a line of their own only
    /// where no quality is drawn.
    pub fn of(rows: &[Summary]) -> Looks {
        let mut names: Vec<String> = rows.iter().map(|row| line_name(&row.method, row.budget)).collect();
        names.sort();
        let mut methods: Vec<String> = rows.iter().map(|row| row.method.clone()).collect();
        methods.sort();
        names.append(&mut methods);
        let mut all = Looks::default();
        for name in names {
            if !all.names.contains(&name) {
                all.names.push(name);
            }
        }
        all
    }

    /// The number of a line's look; a line that nobody named gets the one after all others.
    pub fn number(&self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or(self.names.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::prediction;
    use crate::report::summary::summarise;

    #[test]
    fn lines_come_before_single_methods_and_each_once() {
        let all = ["spectral:2", "spectral:1", "int4"].map(|method| prediction("t", method, None, "a"));
        let looks = Looks::of(&summarise(&all));
        let numbers = ["int4", "spectral", "spectral:1", "spectral:2", "nobody's"].map(|name| looks.number(name));
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
    }
}
