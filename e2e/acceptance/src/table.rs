//! What `kubectl get` prints.

use cluster::Cluster;

/// A table of `kubectl get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The titles of the columns.
    pub columns: Vec<String>,
    /// The cells, row by row.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Asks kubectl.
    ///
    /// # Panics
    /// It fails.
    #[must_use]
    pub fn get(cluster: &Cluster, arguments: &[&str]) -> Self {
        let text = cluster.kubectl(&[&["get"], arguments].concat()).expect("kubectl get");
        Self::parse(&text)
    }

    /// Reads what was printed: a cell begins where its column's title does.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        let is_start = |at: usize| !head[at..].starts_with(' ') && (at == 0 || head[..at].ends_with("  "));
        let starts: Vec<usize> = (0..head.len()).filter(|at| is_start(*at)).collect();
        let cells = |line: &str| -> Vec<String> {
            let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
            let spans = starts.iter().zip(ends);
            spans
                .map(|(start, end)| {
                    line.get(*start..end.min(line.len())).unwrap_or_default().trim().to_owned()
                })
                .collect()
        };
        Self { columns: cells(head), rows: lines.map(cells).collect() }
    }

    /// The cells of the object of this name but for the last, its age, which must look like one.
    ///
    /// # Panics
    /// There is no such object.
    #[must_use]
    pub fn row(&self, name: &str) -> Vec<&str> {
        let row = self.rows.iter().find(|row| row.first().is_some_and(|cell| cell == name));
        let row = row.unwrap_or_else(|| panic!("no {name} in {self:?}"));
        let (age, cells) = row.split_last().expect("cells");
        assert!(age.starts_with(|c: char| c.is_ascii_digit()), "an age, not {age:?}");
        cells.iter().map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_may_be_empty_and_hold_spaces() {
        let table = Table::parse(
            "NAME   CLASS      ADDRESS   AGE\na      kgateway             5s\nb c    x          1.2.3.4   1m\n",
        );
        assert_eq!(table.columns, ["NAME", "CLASS", "ADDRESS", "AGE"]);
        assert_eq!(table.row("a"), ["a", "kgateway", ""]);
        assert_eq!(table.row("b c"), ["b c", "x", "1.2.3.4"]);
    }
}
