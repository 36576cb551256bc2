//! A server on a port of its own, and a client that sends what no library would.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(missing_docs, unreachable_pub, reason = "test support")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fourier_kv_engine::scheduler::SchedulerOptions;
use fourier_kv_engine::{Engine, EngineOptions};
use fourier_kv_server::{AccessKeys, Connections, Limits, ServerConfig, serve};
use fourier_kv_testkit::{Encoding, RandomModel};
use serde_json::Value;

pub const CACHE: &str = "fourier:window=16,least-middle=16,harmonics=4,capacity=64";

/// A server of a tiny random model.
pub struct Server {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

pub fn config() -> ServerConfig {
    ServerConfig {
        model: "tiny".into(),
        scheduler: SchedulerOptions {
            cache: CACHE.parse().unwrap(),
            plan: None,
            cache_bytes: 1 << 28,
            most_running: 8,
            most_queued: 16,
            least_kept: None,
            session_folder: None,
            park_after: Duration::from_secs(600),
        },
        keys: AccessKeys::default(),
        cors: Vec::new(),
        limits: Limits { body_bytes: 1 << 20, ..Limits::default() },
        connections: Connections::default(),
        grace: Duration::from_secs(20),
    }
}

impl Server {
    pub fn start(config: ServerConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        let model = RandomModel { context: 8192, ..RandomModel::llama() };
        model.write_gguf(&path, Encoding::F32).unwrap();
        let engine = Arc::new(Engine::load(&path, &EngineOptions::default()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            serve(engine, config, listener, move || told.load(Ordering::SeqCst)).unwrap();
        });
        Server { address, stop, thread: Some(thread) }
    }

    pub fn order_to_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Sends a request and reads all of the reply.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        self.ask_with(method, path, body, &[])
    }

    pub fn ask_with(&self, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Reply {
        let mut stream = self.send(method, path, body, headers);
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Reply::parse(&bytes)
    }

    /// Sends a request; its reply is the caller's to read.
    pub fn send(&self, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: tiny\r\nconnection: close\r\ncontent-length: {}\r\n\
             content-type: application/json\r\n",
            body.len()
        );
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        stream
    }

    pub fn post(&self, path: &str, body: Value) -> Reply {
        self.ask("POST", path, &body.to_string())
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "")
    }

    /// A metric's value, all its samples together.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text;
        let samples = text.lines().filter(|line| line.starts_with(name));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until a metric has a value.
    #[track_caller]
    pub fn until(&self, name: &str, value: f64) {
        let begun = Instant::now();
        while self.metric(name) != value {
            assert!(begun.elapsed() < Duration::from_secs(60), "{name} is {} and not {value}", self.metric(name));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asserts that nothing is left of what was asked: no answer, no byte; and that the server still answers.
    #[track_caller]
    pub fn is_at_rest(&self) {
        self.until("fourier_kv_answers_running", 0.0);
        self.until("fourier_kv_prompts_reading", 0.0);
        self.until("fourier_kv_requests_queued", 0.0);
        self.until("fourier_kv_cache_bytes", 0.0);
        self.until("fourier_kv_cache_reserved_bytes", 0.0);
        assert_eq!(self.post("/v1/completions", completion("still here", 3)).status, 200);
        self.until("fourier_kv_cache_bytes", 0.0);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.order_to_stop();
        let joined = self.thread.take().unwrap().join();
        assert!(joined.is_ok() || std::thread::panicking(), "the server panicked");
    }
}

pub fn completion(prompt: &str, max_tokens: usize) -> Value {
    serde_json::json!({"model": "tiny", "prompt": prompt, "max_tokens": max_tokens, "temperature": 0})
}

/// A request for a stream that takes its time.
pub fn long_stream() -> String {
    serde_json::json!({"prompt": "once upon a time", "max_tokens": 2000, "temperature": 1, "seed": 4, "stream": true,
        // The ends of texts and turns: the stream does not end by itself.
        "logit_bias": {"0": -100, "1": -100, "2": -100}})
    .to_string()
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub text: String,
}

impl Reply {
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Reply { status, head: head.to_lowercase(), text: body }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Asserts that it is an error with this status and code, in OpenAI's form.
    #[track_caller]
    pub fn is_error(&self, status: u16, code: &str) {
        let body = self.json();
        let error = &body["error"];
        assert_eq!((self.status, error["code"].as_str()), (status, Some(code)), "{self:?}");
        assert!(error["message"].as_str().is_some_and(|m| m.len() > 10) && error["type"].is_string(), "{self:?}");
    }

    /// The objects of a stream; the last line must be `[DONE]` if it is whole.
    pub fn events(&self) -> Vec<Value> {
        let data = self.text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        text += &rest[..size];
        body = rest[size..].trim_start_matches("\r\n");
    }
    text
}
