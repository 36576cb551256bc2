//! A model hub on this machine: real HTTP over a real socket, with the faults a test asks for.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::sha256;

/// How a file is sent.
#[derive(Clone)]
pub enum Manner {
    /// As it should be.
    Whole,
    /// Half of it, then the connection is closed.
    Dropped,
    /// Half of it, then silence.
    Stalled,
    /// Not a word.
    Silent,
    /// A status instead of it.
    Status(u16),
    /// Half of it, then something happens, then the rest.
    Meanwhile(Arc<dyn Fn() + Send + Sync>),
}

/// A file that the hub has.
#[derive(Clone)]
pub struct File {
    pub path: String,
    pub content: Vec<u8>,
    /// The SHA-256 that the hub says; small files have none.
    pub sha256: Option<String>,
    pub manner: Manner,
}

impl File {
    pub fn large(path: &str, content: &[u8], manner: Manner) -> Self {
        let sha256 = Some(sha256(content));
        Self { path: path.into(), content: content.to_vec(), sha256, manner }
    }

    pub fn small(path: &str, content: &[u8]) -> Self {
        let manner = Manner::Whole;
        Self { path: path.into(), content: content.to_vec(), sha256: None, manner }
    }
}

/// A running hub with one repository, `owner/name`.
pub struct Hub {
    pub address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    pub fn start(files: Vec<File>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (files, seen) = (files.clone(), seen.clone());
                std::thread::spawn(move || answer(stream.unwrap(), &files, &seen));
            }
        });
        Self { address, requests }
    }

    /// Request lines and headers so far, one request an entry.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, files: &[File], seen: &Mutex<Vec<String>>) {
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
    }
    let path = request.split(' ').nth(1).unwrap().to_owned();
    seen.lock().unwrap().push(request);
    if path.starts_with("/api/models/owner/name/tree/main") {
        let _ = respond(&mut stream, 200, &listing(files));
        return;
    }
    let name = path.split_once("/resolve/").and_then(|(_, rest)| rest.split_once('/'));
    match files.iter().find(|file| name.is_some_and(|(_, name)| name == file.path)) {
        // A client that gave up closes its end: nothing to do about it here.
        Some(file) => drop(send(&mut stream, file)),
        None => drop(respond(&mut stream, 404, b"no")),
    }
}

fn listing(files: &[File]) -> Vec<u8> {
    let entry = |file: &File| match &file.sha256 {
        Some(sha256) => json!({ "type": "file", "path": file.path, "size": 130, "oid": "x",
            "lfs": { "oid": sha256, "size": file.content.len(), "pointerSize": 130 } }),
        None => json!({ "type": "file", "path": file.path, "size": file.content.len(), "oid": "x" }),
    };
    let entries: Vec<_> = files.iter().map(entry).collect();
    serde_json::to_vec(&entries).unwrap()
}

fn head(status: u16, length: usize) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
}

fn respond(stream: &mut TcpStream, status: u16, body: &[u8]) -> std::io::Result<()> {
    stream.write_all(head(status, body.len()).as_bytes())?;
    stream.write_all(body)
}

fn send(stream: &mut TcpStream, file: &File) -> std::io::Result<()> {
    let (first, second) = file.content.split_at(file.content.len() / 2);
    let silence = || std::thread::sleep(Duration::from_secs(60));
    match &file.manner {
        Manner::Whole => return respond(stream, 200, &file.content),
        Manner::Status(status) => return respond(stream, *status, b"no"),
        Manner::Silent => {
            silence();
            return Ok(());
        }
        Manner::Dropped | Manner::Stalled | Manner::Meanwhile(_) => {}
    }
    stream.write_all(head(200, file.content.len()).as_bytes())?;
    stream.write_all(first)?;
    match &file.manner {
        Manner::Stalled => silence(),
        Manner::Meanwhile(event) => {
            event();
            stream.write_all(second)?;
        }
        _ => {}
    }
    Ok(())
}
