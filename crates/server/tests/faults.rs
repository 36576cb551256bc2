//! What can go wrong, one by one: the right status and error, nothing left behind, nothing else disturbed.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fourier_kv_server::{Connections, Limits, ServerConfig};
use serde_json::json;
use support::*;

/// Reads until the stream has begun to flow.
fn first_bytes(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let count = stream.read(&mut bytes).unwrap();
    bytes.truncate(count);
    bytes
}

#[test]
fn a_client_that_leaves_in_mid_stream() {
    let server = Server::start(config());
    let mut stays = server.send("POST", "/v1/completions", &long_stream(), &[]);
    for _ in 0..3 {
        let mut leaves = server.send("POST", "/v1/completions", &long_stream(), &[]);
        assert!(String::from_utf8_lossy(&first_bytes(&mut leaves)).contains("200 OK"));
        drop(leaves);
    }
    server.until("fourier_kv_requests_total{result=\"left\"}", 3.0);
    let mut rest = Vec::new();
    stays.read_to_end(&mut rest).unwrap();
    assert!(Reply::parse(&rest).text.ends_with("data: [DONE]\n\n"), "the other is not disturbed");
    server.is_at_rest();
}

#[test]
fn a_client_that_leaves_before_its_whole_answer() {
    let server = Server::start(config());
    let whole = long_stream().replace("\"stream\":true", "\"stream\":false");
    let leaves = server.send("POST", "/v1/completions", &whole, &[]);
    server.until("fourier_kv_answers_running", 1.0);
    drop(leaves);
    server.until("fourier_kv_requests_total{result=\"left\"}", 1.0);
    server.is_at_rest();
}

#[test]
fn a_body_that_is_too_large() {
    let server = Server::start(config());
    let large = json!({"prompt": "x".repeat(2 << 20)}).to_string();
    // Announced, and as a surprise.
    let mut announced = TcpStream::connect(server.address).unwrap();
    let head = "POST /v1/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    write!(announced, "{head}content-length: {}\r\n\r\n{{", large.len()).unwrap();
    let mut bytes = Vec::new();
    let _ = announced.read_to_end(&mut bytes);
    Reply::parse(&bytes).is_error(413, "body_too_large");
    let mut surprise = TcpStream::connect(server.address).unwrap();
    surprise.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(surprise, "{head}transfer-encoding: chunked\r\n\r\n").unwrap();
    for part in large.as_bytes().chunks(1 << 16) {
        let sent = write!(surprise, "{:x}\r\n", part.len()).and_then(|()| surprise.write_all(part));
        if sent.and_then(|()| surprise.write_all(b"\r\n")).is_err() {
            break;
        }
    }
    let mut first = [0; 12];
    if surprise.read_exact(&mut first).is_ok() {
        assert_eq!(&first, b"HTTP/1.1 413");
    }
    server.is_at_rest();
}

#[test]
fn bodies_that_are_no_request() {
    let server = Server::start(config());
    for body in ["", "{", "[]", "nothing", "{\"prompt\": {}}", "{\"prompt\": \"x\", \"max_tokens\": -1}", "\u{0}"] {
        server.ask("POST", "/v1/completions", body).is_error(400, "invalid_json");
    }
    for body in [json!({"messages": []}), json!({"messages": [{"role": "wizard", "content": "x"}]})] {
        server.post("/v1/chat/completions", body).is_error(400, "invalid_value");
    }
    let image = json!([{"type": "image_url", "image_url": {"url": "data:"}}]);
    let image = json!({"messages": [{"role": "user", "content": image}]});
    server.post("/v1/chat/completions", image).is_error(400, "unsupported_value");
    server.post("/v1/completions", json!({"prompt": ""})).is_error(400, "invalid_value");
    server.post("/v1/completions", json!({"prompt": [1, 99_999]})).is_error(400, "invalid_value");
    server.get("/v1/chat/completions").is_error(405, "method_not_allowed");
    server.get("/v2").is_error(404, "not_found");
    server.is_at_rest();
}

#[test]
fn an_unknown_model() {
    let server = Server::start(config());
    let ask = json!({"model": "gpt-4", "messages": [{"role": "user", "content": "x"}]});
    server.post("/v1/chat/completions", ask).is_error(404, "model_not_found");
}

#[test]
fn a_context_that_is_too_long() {
    let server = Server::start(config());
    let long = server.post("/v1/completions", completion(&"the rain and ".repeat(4000), 5));
    long.is_error(400, "context_length_exceeded");
    let mut small = config();
    small.scheduler.cache_bytes = 200_000;
    let server = Server::start(small);
    let more = server.post("/v1/completions", completion(&"the rain and ".repeat(900), 5));
    more.is_error(400, "cache_memory_exceeded");
    server.is_at_rest();
}

#[test]
fn a_full_queue() {
    let mut config = config();
    config.scheduler.most_running = 1;
    config.scheduler.most_queued = 1;
    let server = Server::start(config);
    let running = server.send("POST", "/v1/completions", &long_stream(), &[]);
    server.until("fourier_kv_answers_running", 1.0);
    let waiting = server.send("POST", "/v1/completions", &long_stream(), &[]);
    server.until("fourier_kv_requests_queued", 1.0);
    let refused = server.post("/v1/completions", completion("x", 1));
    refused.is_error(429, "queue_full");
    let after = refused.head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
    assert!(after.parse::<u64>().unwrap() >= 1);
    drop((running, waiting));
    server.is_at_rest();
}

#[test]
fn a_reader_that_is_slow() {
    let server = Server::start(config());
    let mut slow = server.send("POST", "/v1/completions", &long_stream(), &[]);
    first_bytes(&mut slow);
    // Others are answered meanwhile, and the slow one's past is given back before it has read its answer.
    assert_eq!(server.post("/v1/completions", completion("quick", 5)).status, 200);
    server.until("fourier_kv_answers_running", 0.0);
    server.until("fourier_kv_cache_bytes", 0.0);
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("data: [DONE]"), "nothing of it is lost");
    server.is_at_rest();
}

/// Half a head, or none: such a connection is closed, and its place is another's.
#[test]
fn a_head_that_does_not_come() {
    let limits = Connections { most: 2, head_time: Duration::from_millis(400) };
    let server = Server::start(ServerConfig { connections: limits, ..config() });
    let begun = Instant::now();
    let mut half = TcpStream::connect(server.address).unwrap();
    half.write_all(b"GET /health HTTP/1.1\r\nhost: ti").unwrap();
    let mut silent = TcpStream::connect(server.address).unwrap();
    // Both places are taken: this one waits until they are closed.
    assert_eq!(server.get("/health").status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(300), "answered after {:?}", begun.elapsed());
    for stream in [&mut half, &mut silent] {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut rest = Vec::new();
        // Closed, with an answer that says why or without.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    }
    server.is_at_rest();
}

#[test]
fn a_request_that_takes_too_long() {
    let limits = Limits { time: Duration::from_millis(300), ..config().limits };
    let server = Server::start(ServerConfig { limits, ..config() });
    let whole = long_stream().replace("\"stream\":true", "\"stream\":false").replace("2000", "2048");
    let prompt = "\"prompt\":\"once upon a time\"";
    let longer = whole.replace(prompt, &format!("\"n\":8,{prompt}"));
    server.ask("POST", "/v1/completions", &longer).is_error(504, "timeout");
    let streamed = server.ask("POST", "/v1/completions", &longer.replace("\"stream\":false", "\"stream\":true"));
    assert_eq!(streamed.status, 200, "it had begun");
    assert_eq!(streamed.events().last().unwrap()["error"]["code"], "timeout");
    server.is_at_rest();
}

#[test]
fn the_end_of_the_server() {
    let mut config = config();
    config.scheduler.most_running = 1;
    let server = Server::start(config);
    let mut running = server.send("POST", "/v1/completions", &long_stream(), &[]);
    server.until("fourier_kv_answers_running", 1.0);
    let mut waiting = server.send("POST", "/v1/completions", &completion("x", 2).to_string(), &[]);
    server.until("fourier_kv_requests_queued", 1.0);
    server.order_to_stop();
    let (mut finished, mut refused) = (Vec::new(), Vec::new());
    waiting.read_to_end(&mut refused).unwrap();
    Reply::parse(&refused).is_error(503, "stopping");
    running.read_to_end(&mut finished).unwrap();
    assert!(Reply::parse(&finished).text.ends_with("data: [DONE]\n\n"), "what ran was finished");
}

#[test]
fn parking_where_the_disk_is_full_or_the_file_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    let sessions = folder.path().join("sessions");
    config.scheduler.session_folder = Some(sessions.clone());
    let server = Server::start(config);
    let id = server.post("/v1/sessions", json!({})).json()["id"].as_str().unwrap().to_owned();
    let path = |end: &str| format!("/v1/sessions/{id}/{end}");
    server.post(&path("save"), json!({})).is_error(400, "session_empty");
    let mut say = completion("the sand and the sea and the rain", 1);
    say["session"] = id.clone().into();
    assert_eq!(server.post("/v1/completions", say.clone()).status, 200);
    // A file where the folder should be: nothing can be written there.
    std::fs::write(&sessions, "in the way").unwrap();
    assert_eq!(server.post(&path("save"), json!({})).status, 500);
    std::fs::remove_file(&sessions).unwrap();
    assert_eq!(server.get(&format!("/v1/sessions/{id}")).json()["state"], "held", "it is still in memory");
    assert_eq!(server.post(&path("save"), json!({})).json()["state"], "parked");
    let file = sessions.join("open").join(format!("{id}.session"));
    let bytes = std::fs::read(&file).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], &[b"x", &bytes[1..]].concat(), b""] {
        std::fs::write(&file, damaged).unwrap();
        server.post(&path("restore"), json!({})).is_error(410, "session_damaged");
        server.post("/v1/completions", say.clone()).is_error(410, "session_damaged");
    }
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(server.post(&path("restore"), json!({})).json()["state"], "held");
    assert_eq!(server.post(&path("delete"), json!({})).json()["deleted"], true);
    assert!(!file.exists());
    server.post(&path("restore"), json!({})).is_error(404, "session_not_found");
    server.is_at_rest();
}

/// A disk of four megabytes, which only an administrator can have.
#[cfg(target_os = "linux")]
struct SmallDisk(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[cfg(target_os = "linux")]
#[test]
#[allow(clippy::print_stderr, reason = "says what was not shown")]
fn a_disk_that_is_full() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("not shown: only an administrator can mount a small disk");
        return;
    };
    let mut config = config();
    config.scheduler.session_folder = Some(disk.0.path().join("sessions"));
    let server = Server::start(config);
    let create = || server.post("/v1/sessions", json!({})).json()["id"].as_str().unwrap().to_owned();
    let say = |id: &str, words: usize| {
        let mut say = completion(&"the rain and the sea ".repeat(words), 1);
        say["session"] = id.into();
        assert_eq!(server.post("/v1/completions", say).status, 200);
    };
    let (small, large) = (create(), create());
    say(&small, 10);
    assert_eq!(server.post(&format!("/v1/sessions/{small}/save"), json!({})).json()["state"], "parked");
    let mut filler = std::fs::File::create(disk.0.path().join("filler")).unwrap();
    while filler.write_all(&[1; 4096]).is_ok() {}
    // An open file would keep its room when it is removed.
    drop(filler);
    say(&large, 300);
    server.post(&format!("/v1/sessions/{large}/save"), json!({})).is_error(507, "disk_full");
    assert_eq!(server.get(&format!("/v1/sessions/{large}")).json()["state"], "held", "nothing is lost");
    assert_eq!(server.post(&format!("/v1/sessions/{small}/restore"), json!({})).json()["state"], "held");
    std::fs::remove_file(disk.0.path().join("filler")).unwrap();
    assert_eq!(server.post(&format!("/v1/sessions/{large}/save"), json!({})).json()["state"], "parked");
    for id in [small, large] {
        server.post(&format!("/v1/sessions/{id}/delete"), json!({}));
    }
    let left = std::fs::read_dir(disk.0.path().join("sessions/open")).unwrap().count();
    assert_eq!(left, 0, "no half-written file stays");
    server.is_at_rest();
}
