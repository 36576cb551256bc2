//! `fourier-kv pull` where the bytes do not fit: writes that really fail.
#![cfg(unix)]
#![allow(clippy::print_stderr, reason = "says what was not shown")]

mod support;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use support::hub::{File, Hub, Manner};
use support::*;
use tempfile::TempDir;

const MODEL: &str = "owner/name/m.gguf";

/// A small disk of its own; only an administrator may have one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }

    /// Writes until nothing more fits.
    fn fill(path: &Path) {
        let block = vec![1; 1 << 16];
        let mut file = std::fs::File::create(path.join("filler")).unwrap();
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

fn pull(hub: &Hub, cache: &Path) -> Output {
    let mut command = fourier_kv(cache);
    command.env("HF_ENDPOINT", &hub.address).args(["pull", MODEL]).output().unwrap()
}

#[test]
fn what_cannot_fit_is_refused_before_it_is_fetched() {
    let Some(disk) = SmallDisk::mount(4) else { return not_an_administrator() };
    let hub = Hub::start(vec![File::large("m.gguf", &content(6_000_000), Manner::Whole)]);
    let output = pull(&hub, disk.0.path());
    assert_fails(&output, 1, "the disk is full: 6.0 MB needed");
    assert!(stderr(&output).contains("(6000000 and "), "{}", stderr(&output));
    let asked = hub.requests();
    assert!(asked.iter().all(|request| !request.contains("/resolve/")), "{asked:?}");
    assert!(cached_names(disk.0.path()).is_empty());
}

#[test]
fn a_disk_that_fills_meanwhile_leaves_no_part() {
    let Some(disk) = SmallDisk::mount(8) else { return not_an_administrator() };
    let folder = disk.0.path().to_owned();
    let fill = Manner::Meanwhile(Arc::new(move || {
        // What was sent is on the disk by now, as far as it ever will be.
        std::thread::sleep(std::time::Duration::from_millis(300));
        SmallDisk::fill(&folder);
    }));
    let hub = Hub::start(vec![File::large("m.gguf", &content(6_000_000), fill)]);
    let output = pull(&hub, disk.0.path());
    assert_fails(&output, 1, "the disk is full: 6.0 MB needed");
    assert!(cached_names(disk.0.path()).is_empty(), "{:?}", cached_names(disk.0.path()));
}

/// The limit on file sizes makes real writes fail for everybody.
#[test]
fn a_write_that_fails_leaves_no_part() {
    let hub = Hub::start(vec![File::large("m.gguf", &content(3_000_000), Manner::Whole)]);
    let cache = TempDir::new().unwrap();
    let mut command = Command::new("bash");
    in_surroundings(&mut command, cache.path());
    // 1 MiB; the signal that goes with the limit is ignored, so that the write itself fails.
    let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" pull \"$1\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_fourier-kv"), MODEL]);
    let output = command.env("HF_ENDPOINT", &hub.address).output().unwrap();
    assert_fails(&output, 1, "cannot write ");
    assert!(cached_names(cache.path()).is_empty(), "{:?}", cached_names(cache.path()));
}

#[test]
fn a_cache_folder_that_cannot_be_made_is_named() {
    let hub = Hub::start(vec![File::large("m.gguf", b"model", Manner::Whole)]);
    let cache = TempDir::new().unwrap();
    std::fs::write(models(cache.path()), "a file in its place").unwrap();
    assert_fails(&pull(&hub, cache.path()), 1, "fourier-kv-models");
}

/// `a_write_that_fails_leaves_no_part` still shows a failing write.
fn not_an_administrator() {
    eprintln!("not shown here: mounting a small disk takes an administrator");
}
