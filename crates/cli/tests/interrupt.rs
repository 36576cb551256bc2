//! Ctrl-C: what there is until then is shown, what is half done is not left behind.
#![cfg(unix)]

mod support;

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fourier_kv_testkit::RandomModel;
use support::models::{Place, paragraphs, smollm2, smollm2_command};
use support::*;

/// One at a time: each uses all cores, and waits for a moment of its own.
static ALONE: Mutex<()> = Mutex::new(());

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

/// Long enough for the program to have begun, far too short for it to be done.
fn wait_a_moment() {
    std::thread::sleep(Duration::from_millis(1500));
}

#[test]
fn while_the_prompt_is_read_nothing_is_printed() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.txt");
    std::fs::write(&file, paragraphs(300)).unwrap();
    for json_wanted in [false, true] {
        let mut command = smollm2(&["--file", file.to_str().unwrap(), "What was cleaned?"]);
        let child = start(if json_wanted { command.arg("--json") } else { &mut command });
        wait_a_moment();
        let begun = Instant::now();
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        match json_wanted {
            true => assert_eq!(json(&output)["error"]["message"], "interrupted"),
            false => assert_eq!((stdout(&output), stderr(&output)), (String::new(), "error: interrupted\n".to_owned())),
        }
    }
}

#[test]
fn while_it_answers_what_was_made_is_kept() {
    let _alone = ALONE.lock();
    let mut child = start(&mut smollm2(&["Write a long story about a lighthouse.", "--max-tokens", "2000"]));
    let mut first = [0; 20];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let said = stderr(&output);
    assert!(said.contains("cache ") && said.contains(" · decode ") && said.contains(" · interrupted\n"), "{said}");
    assert!(!said.contains("error:"), "{said}");
    assert!(stdout(&output).ends_with('\n'));
}

#[test]
fn waiting_for_standard_input_ends() {
    let _alone = ALONE.lock();
    let place = Place::gguf(&RandomModel::llama());
    let mut command = place.command("run", &["--file", "-", "why"]);
    let mut child = start(command.stdin(Stdio::piped()));
    let kept_open = child.stdin.take();
    wait_a_moment();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(130), "error: interrupted\n"));
    drop(kept_open);
}

#[test]
fn a_calibration_leaves_no_file() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let (text, plan) = (folder.path().join("text.txt"), folder.path().join("a.plan"));
    std::fs::write(&text, paragraphs(300)).unwrap();
    let mut command = smollm2_command("calibrate", &["--text"]);
    command.arg(&text).arg("-o").arg(&plan);
    let child = start(&mut command);
    wait_a_moment();
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["text.txt"]);
}
