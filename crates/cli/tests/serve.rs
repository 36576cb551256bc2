//! `fourier-kv serve`: it says where it is, answers, and ends when it is told to. The API itself has tests of its own.
#![cfg(unix)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use fourier_kv_testkit::RandomModel;
use serde_json::Value;
use support::models::Place;

/// A server, and what it said when it was ready.
fn start(place: &Place, words: &[&str]) -> (Child, Value) {
    let mut command = place.command("serve", &["--port", "0", "--json"]);
    let mut server = command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (server, serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}")))
}

fn get(said: &Value, path: &str, headers: &str) -> String {
    let address = said["url"].as_str().unwrap().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn it_answers_until_it_is_told_to_end() {
    let place = Place::gguf(&RandomModel::llama());
    for signal in ["-TERM", "-INT"] {
        let (mut server, said) = start(&place, &["--cache-memory", "64MB", "--name", "small"]);
        assert_eq!((&said["model"], &said["cache_memory_bytes"]), (&"small".into(), &64_000_000.into()));
        assert!(get(&said, "/v1/models", "").contains("\"id\":\"small\""));
        assert!(Command::new("kill").args([signal, &server.id().to_string()]).status().unwrap().success());
        assert!(server.wait().unwrap().success(), "{signal}");
    }
}

#[test]
fn keys_come_from_a_file() {
    let place = Place::gguf(&RandomModel::llama());
    let keys = place.write("keys", "# who\n\na-key-of-a-file\n");
    let (mut server, said) = start(&place, &["--api-key-file", &keys]);
    assert!(get(&said, "/v1/models", "").starts_with("HTTP/1.1 401"));
    assert!(get(&said, "/v1/models", "authorization: Bearer a-key-of-a-file\r\n").starts_with("HTTP/1.1 200"));
    server.kill().unwrap();
    server.wait().unwrap();
    place.fails("serve", &["--api-key-file", &place.write("none", "\n")], 2, "--api-key-file");
    place.fails("serve", &["--api-key-file", &place.write("weak", "abc")], 2, "at least 8 characters");
}

#[test]
fn an_address_that_is_taken() {
    let place = Place::gguf(&RandomModel::llama());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    place.fails("serve", &["--port", &port], 1, "cannot listen on 127.0.0.1");
}
