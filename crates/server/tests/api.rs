//! What each address says, over real connections.

mod support;

use fourier_kv_server::{AccessKeys, ServerConfig};
use serde_json::{Value, json};
use support::*;

#[test]
fn a_chat_is_answered_whole_and_in_pieces_alike() {
    let server = Server::start(config());
    let ask = |stream: bool| {
        json!({"model": "tiny", "messages": [{"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "text", "text": "there"}]}],
            "max_completion_tokens": 30, "temperature": 1.2, "seed": 11, "stream": stream, "n": 2,
            "logprobs": true, "top_logprobs": 3, "stream_options": {"include_usage": true}, "unknown_field": 1})
    };
    let whole = server.post("/v1/chat/completions", ask(false));
    assert_eq!(whole.status, 200);
    let whole = whole.json();
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["choices"].as_array().unwrap().len(), 2);

    let pieces = server.post("/v1/chat/completions", ask(true));
    assert!(pieces.head.contains("text/event-stream") && pieces.text.ends_with("data: [DONE]\n\n"), "{pieces:?}");
    let events = pieces.events();
    for index in 0..2 {
        let choice = &whole["choices"][index];
        let of = |event: &Value| event["choices"].as_array().unwrap().iter().find(|c| c["index"] == index).cloned();
        let own: Vec<Value> = events.iter().filter_map(of).collect();
        let text: String = own.iter().filter_map(|c| c["delta"]["content"].as_str()).collect();
        assert_eq!(choice["message"]["content"], json!(text));
        assert_eq!(choice["finish_reason"], own.last().unwrap()["finish_reason"]);
        let told: Vec<&Value> = own.iter().filter_map(|c| c["logprobs"]["content"].as_array()).flatten().collect();
        let expected = choice["logprobs"]["content"].as_array().unwrap();
        assert_eq!(told.len(), expected.len());
        for (told, expected) in told.iter().zip(expected) {
            assert_eq!(told["token"], expected["token"]);
            let [top, logprob] = [&told["top_logprobs"], &told["logprob"]];
            assert!(top.as_array().unwrap().len() == 3 && logprob.as_f64().unwrap() <= 0.0, "{told}");
        }
    }
    let usage = &events.last().unwrap()["usage"];
    assert_eq!(usage, &whole["usage"]);
    let count = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(count("total_tokens"), count("prompt_tokens") + count("completion_tokens"));
    assert!(count("prompt_tokens") > 10 && count("completion_tokens") <= 60);
}

#[test]
fn a_text_is_gone_on_with() {
    let server = Server::start(config());
    let tokens = server.post("/tokenize", json!({"prompt": "the sand and the sea"})).json()["tokens"].clone();
    let by_text = server.post("/v1/completions", completion("the sand and the sea", 12)).json();
    let mut by_tokens = completion("", 12);
    by_tokens["prompt"] = tokens.clone();
    assert_eq!(by_text["choices"], server.post("/v1/completions", by_tokens).json()["choices"]);
    assert_eq!(by_text["object"], "text_completion");
    assert_eq!(by_text["usage"]["prompt_tokens"], json!(tokens.as_array().unwrap().len()));

    let mut echoed = completion("the sand and the sea", 12);
    echoed["echo"] = true.into();
    echoed["logprobs"] = 2.into();
    let echoed = server.post("/v1/completions", echoed).json();
    let text = echoed["choices"][0]["text"].as_str().unwrap();
    assert_eq!(text, format!("the sand and the sea{}", by_text["choices"][0]["text"].as_str().unwrap()));
    let told = &echoed["choices"][0]["logprobs"];
    assert_eq!(told["text_offset"][0], json!("the sand and the sea".len()));
    assert_eq!(told["tokens"].as_array().unwrap().len(), told["token_logprobs"].as_array().unwrap().len());

    let stopped = json!({"prompt": "the sand", "max_tokens": 200, "temperature": 0, "stop": ["e", "a", "o"]});
    let stopped = server.post("/v1/completions", stopped).json();
    assert!(!stopped["choices"][0]["text"].as_str().unwrap().contains(['e', 'a', 'o']));
}

#[test]
fn tokens_are_texts_and_back() {
    let server = Server::start(config());
    let text = "and then the rain, again.";
    let tokens = server.post("/tokenize", json!({"content": text})).json();
    assert_eq!(tokens["count"], json!(tokens["tokens"].as_array().unwrap().len()));
    assert_eq!(server.post("/detokenize", json!({"tokens": tokens["tokens"]})).json()["prompt"], json!(text));
    let chat = json!({"messages": [{"role": "user", "content": "hi"}]});
    let chat = server.post("/tokenize", chat).json()["tokens"].clone();
    let written = server.post("/detokenize", json!({"tokens": chat})).json();
    assert_eq!(written["prompt"], "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
    server.post("/tokenize", json!({})).is_error(400, "invalid_value");
    assert_eq!(server.post("/detokenize", json!({"tokens": [4_000_000_000u32]})).json()["prompt"], "");
}

#[test]
fn models_health_metrics_and_the_page() {
    let server = Server::start(config());
    let models = server.get("/v1/models").json();
    assert_eq!((&models["object"], &models["data"][0]["id"]), (&json!("list"), &json!("tiny")));
    assert_eq!(server.get("/v1/models/tiny").json(), models["data"][0]);
    server.get("/v1/models/gpt-4").is_error(404, "model_not_found");
    assert_eq!(server.get("/health").json(), json!({"status": "ok"}));
    server.post("/v1/completions", completion("x", 5));
    assert_eq!(server.metric("fourier_kv_tokens_total{kind=\"generated\"}"), 5.0);
    assert_eq!(server.metric("fourier_kv_first_token_seconds_count"), 1.0);
    assert_eq!(server.get("/openapi.json").json()["openapi"], "3.1.0");
    let page = server.get("/");
    assert!(page.head.contains("text/html") && page.head.contains("default-src 'none'"));
    for file in ["/page.css", "/page.js"] {
        assert!(page.text.contains(file), "{file}");
        assert_eq!(server.get(file).status, 200);
    }
    assert!(!page.text.contains("://"), "nothing is loaded from elsewhere");
}

/// The document and the server know the same addresses.
#[test]
fn every_address_of_the_document_answers() {
    let server = Server::start(config());
    let document = fourier_kv_server::document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{model}", "tiny").replace("{id}", "none");
        for method in methods.as_object().unwrap().keys() {
            let reply = server.ask(&method.to_uppercase(), &path, "{}");
            let known = reply.status != 405 && (reply.status != 404 || reply.json()["error"]["code"] != "not_found");
            assert!(known && reply.status < 500, "{method} {path}: {reply:?}");
        }
    }
}

#[test]
fn with_keys_nothing_but_health_answers_without_one() {
    let keys = AccessKeys::new(["key-of-alice", "key-of-bob-2"]).unwrap();
    let server = Server::start(ServerConfig { keys, ..config() });
    let document = fourier_kv_server::document();
    let mut paths: Vec<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    paths.extend(["/", "/page.js", "/page.css", "/nowhere"].map(str::to_owned));
    for path in paths.iter().filter(|path| *path != "/health") {
        for method in ["GET", "POST", "DELETE", "OPTIONS", "PUT"] {
            server.ask(method, path, "{}").is_error(401, "invalid_api_key");
        }
        for wrong in ["Bearer key-of-alic", "Bearer ", "Basic key-of-alice", "key-of-alice", "Bearer key-of-alice2"] {
            server.ask_with("GET", path, "", &[("authorization", wrong)]).is_error(401, "invalid_api_key");
        }
    }
    assert_eq!(server.get("/health").status, 200);
    // As programs send it, and as browsers send a password: `me:key-of-alice`.
    for right in ["bearer key-of-alice", "Basic bWU6a2V5LW9mLWFsaWNl"] {
        assert_eq!(server.ask_with("GET", "/v1/models", "", &[("Authorization", right)]).status, 200);
    }
    let basic_without = server.ask_with("GET", "/", "", &[("authorization", "Basic bWU6")]);
    basic_without.is_error(401, "invalid_api_key");
    assert!(basic_without.head.contains("www-authenticate: basic"));
}

#[test]
fn sessions_of_one_key_are_invisible_to_another() {
    let keys = AccessKeys::new(["key-of-alice", "key-of-bob-2"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = ServerConfig { keys, ..config() };
    config.scheduler.session_folder = Some(folder.path().join("sessions"));
    let server = Server::start(config);
    let as_key = |key: &str, method: &str, path: &str, body: Value| {
        let header = format!("Bearer {key}");
        server.ask_with(method, path, &body.to_string(), &[("authorization", &header)])
    };
    let (alice, bob) = ("key-of-alice", "key-of-bob-2");
    let id = as_key(alice, "POST", "/v1/sessions", json!({})).json()["id"].as_str().unwrap().to_owned();
    assert!(id.len() > 32, "{id}");
    let mut say = completion("what was said before", 1);
    say["session"] = id.clone().into();
    assert_eq!(as_key(alice, "POST", "/v1/completions", say.clone()).status, 200);
    as_key(bob, "POST", "/v1/completions", say).is_error(404, "session_not_found");
    for (method, end) in [("GET", ""), ("POST", "/save"), ("POST", "/restore"), ("POST", "/delete"), ("DELETE", "")] {
        let path = format!("/v1/sessions/{id}{end}");
        as_key(bob, method, &path, json!({})).is_error(404, "session_not_found");
    }
    assert_eq!(as_key(bob, "GET", "/v1/sessions", json!({})).json()["data"], json!([]));
    assert_eq!(as_key(alice, "GET", "/v1/sessions", json!({})).json()["data"][0]["state"], "held");
    // Ids that look for a way out of the folder find nothing.
    for outside in ["..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "..", "%00", &format!("..%2F{id}")] {
        let reply = as_key(alice, "POST", &format!("/v1/sessions/{outside}/restore"), json!({}));
        assert!([404, 400].contains(&reply.status), "{outside}: {reply:?}");
    }
    let saved = as_key(alice, "POST", &format!("/v1/sessions/{id}/save"), json!({})).json();
    assert_eq!((&saved["state"], &saved["bytes"]), (&json!("parked"), &json!(0)));
    let files: Vec<_> = std::fs::read_dir(folder.path().join("sessions")).unwrap().collect();
    assert_eq!(files.len(), 1, "one owner, whose key the folder's name does not tell");
    assert!(!files[0].as_ref().unwrap().file_name().to_str().unwrap().contains("alice"));
    assert_eq!(as_key(alice, "POST", &format!("/v1/sessions/{id}/restore"), json!({})).json()["state"], "held");
    assert_eq!(as_key(alice, "DELETE", &format!("/v1/sessions/{id}"), json!({})).json()["deleted"], true);
}

#[test]
fn pages_of_allowed_origins_may_ask() {
    let server = Server::start(ServerConfig { cors: vec!["https://a.example".into()], ..config() });
    let preflight = |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        server.ask_with("OPTIONS", "/v1/chat/completions", "", &headers)
    };
    let allowed = preflight("https://a.example");
    assert_eq!(allowed.status, 204);
    assert!(allowed.head.contains("access-control-allow-origin: https://a.example"), "{allowed:?}");
    assert!(!preflight("https://b.example").head.contains("access-control-allow-origin"));
    let simple = server.ask_with("GET", "/v1/models", "", &[("origin", "https://a.example")]);
    assert!(simple.head.contains("access-control-allow-origin: https://a.example"));
}
