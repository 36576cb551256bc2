//! The report's files, each written beside its place and renamed: it is whole or not there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Report, html, markdown};

/// The numbers.
pub const METRICS_FILE: &str = "metrics.json";
/// The tables.
pub const TABLES_FILE: &str = "tables.md";
/// The page.
pub const PAGE_FILE: &str = "report.html";
/// The version of `metrics.json`.
pub const METRICS_VERSION: u64 = 1;

/// A file of the report that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct WriteError {
    /// The file, or the folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

#[derive(Serialize)]
struct Metrics<'a> {
    format: &'static str,
    version: u64,
    #[serde(flatten)]
    report: &'a Report,
}

/// The text of `metrics.json`.
pub fn metrics_json(report: &Report) -> String {
    let metrics = Metrics { format: "fourier-kv metrics", version: METRICS_VERSION, report };
    serde_json::to_string_pretty(&metrics).expect("all keys are text and all numbers finite or named") + "\n"
}

/// Writes the numbers first, then tables and figures, the page last, and returns what was written. Makes the folder;
/// files of other names in it are left alone.
///
/// # Errors
/// If the folder or a file cannot be written; the file that failed is not left half done.
pub fn write(report: &Report, folder: &Path) -> Result<Vec<PathBuf>, WriteError> {
    fs::create_dir_all(folder).map_err(|source| WriteError { path: folder.to_owned(), source })?;
    let mut files =
        vec![(METRICS_FILE.to_owned(), metrics_json(report)), (TABLES_FILE.to_owned(), markdown::document(report))];
    files.extend(report.figures.iter().map(|figure| (format!("{}.svg", figure.stem), figure.svg.clone())));
    files.push((PAGE_FILE.to_owned(), html::page(report)));
    let one = |(name, text): (String, String)| {
        let path = folder.join(name);
        write_whole(&path, &text).map(|()| path)
    };
    files.into_iter().map(one).collect()
}

/// Writes a file beside its place and renames it.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), WriteError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(name);
    let written = File::create(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| {
        // It may not exist; the error that matters is the first.
        let _ = fs::remove_file(&beside);
        WriteError { path: path.to_owned(), source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::scored;
    use crate::report::{RunInfo, Summary};

    fn report(reversed: bool) -> Report {
        let mut all = vec![scored("squad", "int4", "a", 0.1), scored("squad", "int4", "b", 0.2)];
        all.push(scored("squad", "exact", "a", 0.3));
        all.push(scored("ruler:vt", "exact", "a", f64::NAN));
        if reversed {
            all.reverse();
        }
        Report::new(RunInfo { model: "tiny".to_owned(), ..RunInfo::default() }, &all, Vec::new())
    }

    #[test]
    fn everything_is_written_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("new/run");
        let written = write(&report(false), &inner).unwrap();
        let mut names: Vec<_> = fs::read_dir(&inner).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let mut expected = written.clone();
        expected.sort();
        assert_eq!(names, expected);
        assert!(written[0].ends_with(METRICS_FILE) && written[1].ends_with(TABLES_FILE));
        assert!(written[written.len() - 1].ends_with(PAGE_FILE));
        assert!(written.len() > 3, "figures, too");
    }

    #[test]
    fn the_order_of_predictions_changes_no_file() {
        let [one, other] = [false, true].map(|reversed| {
            let folder = tempfile::tempdir().unwrap();
            let written = write(&report(reversed), folder.path()).unwrap();
            let name = |path: &PathBuf| path.file_name().unwrap().to_owned();
            written.iter().map(|path| (name(path), fs::read(path).unwrap())).collect::<Vec<_>>()
        });
        assert_eq!(one, other);
    }

    #[test]
    fn metrics_can_be_read_again() {
        let report = report(false);
        let value: serde_json::Value = serde_json::from_str(&metrics_json(&report)).unwrap();
        assert_eq!((&value["format"], &value["version"]), (&"fourier-kv metrics".into(), &1.into()));
        assert_eq!(value["summaries"][0]["values"]["score"]["mean"], "NaN");
        assert_eq!(value["gaps"][0]["have"], 0);
        let rows: Vec<Summary> = serde_json::from_value(value["summaries"].clone()).unwrap();
        assert_eq!(rows[1..], report.summaries[1..]);
    }

    #[test]
    fn a_folder_that_cannot_be_is_named_and_no_part_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write(&report(false), &file).unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
        // A folder where the file should be: the rename fails.
        let taken = folder.path().join("run");
        fs::create_dir_all(taken.join(METRICS_FILE)).unwrap();
        let error = write(&report(false), &taken).unwrap_err();
        assert!(error.path.ends_with(METRICS_FILE));
        assert_eq!(fs::read_dir(&taken).unwrap().count(), 1);
    }
}
