//! Everything that `run` refuses: one error, one hint, the right exit status, nothing on standard output.

mod support;

use fourier_kv_testkit::{Encoding, Meta, RandomModel};
use support::models::{Place, SMALL_FOURIER};
use support::*;

#[test]
fn wrong_usage_is_status_two() {
    let place = Place::gguf(&RandomModel::llama());
    let wrong: [(&[&str], &str); 12] = [
        (&[], "the prompt is empty"),
        (&["why", "--cache", "magic"], "expected a cache of kind exact, spectral, fourier, "),
        (&["why", "--cache", "exact:f8"], "expected `storage` to be bf16 or f16 or f32, got `f8`"),
        (&["why", "--cache", "fourier:colour=red"], "got `colour`"),
        (
            &["why", "--cache", "int4:hadamard=on"],
            "the settings keys, group, residual of the `int4` cache, got `hadamard`",
        ),
        (&["why", "--cache", "int4:group=0"], "expected `group` to be a whole number from 1"),
        (&["why", "--cache", "fourier:harmonics=99999999999"], "got `99999999999`"),
        (&["why", "--plan", "no/such.plan"], "--plan: there is no file no/such.plan"),
        (&["why", "--raw", "--system", "be kind"], "--system has no effect"),
        (&["why", "--device", "cuda"], "--device cuda"),
        (&["why", "--cpu", "sse"], "--cpu expects auto, scalar, avx2 or avx512; got 'sse'"),
        (&["why", "--threads", "0"], "--threads expects 1 to 4096"),
    ];
    for (words, message) in wrong {
        place.fails("run", words, 2, message);
    }
    let unknown = place.run("run", &["why", "--cache", "magic"]);
    assert!(stderr(&unknown).contains("got `magic`") && stderr(&unknown).contains("\n  int4: "), "{unknown:?}");
    assert!(stderr(&unknown).contains("\n  fourier: ") && stderr(&unknown).contains("\n  exact: "), "{unknown:?}");
}

#[test]
fn texts_that_cannot_be_read_are_named() {
    let place = Place::gguf(&RandomModel::llama());
    place.fails("run", &["--file", "no/such.txt"], 1, "cannot read no/such.txt");
    let folder = place.path("");
    place.fails("run", &["--file", &folder], 1, "cannot read ");
    let binary = place.write("binary.txt", [b'a', b'b', 0xff, 0xfe]);
    place.fails("run", &["--file", &binary], 1, "is not UTF-8 text: the byte at position 2");
    let empty = place.write("empty.txt", " \n\n");
    place.fails("run", &["--file", &empty], 2, "the prompt is empty");
}

#[test]
fn a_prompt_longer_than_the_context_is_counted() {
    let place = Place::gguf(&RandomModel::llama());
    let text = place.write("long.txt", "the sea ".repeat(400));
    for words in [&["--file", &text][..], &["--raw", "--file", &text]] {
        place.fails("run", words, 1, "expected a prompt of fewer than 256 tokens, the model's context, got ");
        assert!(stderr(&place.run("run", words)).contains("--past-context"));
    }
    let report = place.json("run", &["--file", &text, "--past-context", "--max-tokens", "1", "--cache", SMALL_FOURIER]);
    assert!(report["prompt_tokens"].as_u64().unwrap() > 256);
}

#[test]
fn damaged_models_are_refused() {
    let whole = RandomModel::llama().gguf(Encoding::F32).finish();
    let truncated = Place::bytes(&whole[..whole.len() / 2]);
    truncated.fails("run", &["why"], 1, "not a readable GGUF file: ");
    Place::bytes(&whole[..40]).fails("run", &["why"], 1, "m.gguf: not a readable GGUF file: it claims 22 tensors");
    Place::bytes(&[]).fails("run", &["why"], 1, "not a readable GGUF file: ");
    Place::bytes(&content(100_000)).fails("run", &["why"], 1, "it does not start with the letters GGUF");
    for place in [truncated, Place::bytes(b"GGUF")] {
        place.fails("inspect", &[], 1, "not a readable GGUF file: ");
    }
    let place = Place::safetensors(&RandomModel::qwen2());
    let config = place.write("model/config.json", "{\"model_type\": \"qwen2\"}");
    place.fails("run", &["why"], 1, "the model's configuration lacks ");
    std::fs::write(config, "{").unwrap();
    place.fails("run", &["why"], 1, "config.json is not the JSON that was expected");
}

#[test]
fn models_that_are_not_supported_are_named() {
    let family = Place::changed_gguf(&RandomModel::llama(), |writer| {
        writer.set("general.architecture", Meta::text("mamba"));
    });
    family.fails("run", &["why"], 1, "models of the \"mamba\" architecture are not supported");
    let split = Place::changed_gguf(&RandomModel::llama(), |writer| {
        writer.pair("split.count", Meta::U32(3));
    });
    split.fails("run", &["why"], 1, "one of 3 parts");
}

#[test]
fn damaged_tokenizers_are_refused() {
    let merges = Place::changed_gguf(&RandomModel::llama(), |writer| {
        writer.set("tokenizer.ggml.merges", Meta::Texts(vec!["one-word".to_owned()]));
    });
    merges.fails("run", &["why"], 1, "merge 0 is `one-word`");
    let place = Place::safetensors(&RandomModel::llama());
    place.write("model/tokenizer.json", "{\"version\"");
    place.fails("run", &["why"], 1, "tokenizer.json: ");
}

#[test]
fn a_model_without_a_template_wants_raw() {
    let place = Place::changed_gguf(&RandomModel::llama(), |writer| {
        writer.remove("tokenizer.chat_template");
    });
    place.fails("run", &["why"], 1, "the model has no chat template");
    assert!(stderr(&place.run("run", &["why"])).contains("--raw"));
    assert!(place.run("run", &["why", "--raw", "--max-tokens", "2"]).status.success());
}

#[test]
fn a_template_that_does_not_parse_is_refused() {
    let place = Place::changed_gguf(&RandomModel::llama(), |writer| {
        writer.set("tokenizer.chat_template", Meta::text("{% for %}"));
    });
    place.fails("run", &["why"], 1, "chat template does not parse");
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let place = Place::gguf(&RandomModel::llama());
    let run = |plan: &str, message| {
        place.fails("run", &["why", "--cache", SMALL_FOURIER, "--plan", plan], 1, message);
        place.fails("inspect", &["--cache", SMALL_FOURIER, "--plan", plan], 1, message);
    };
    run(&place.write("text.plan", "a plan, but in prose"), "expected a plan file, got something else");
    run(&place.write("empty.plan", ""), "expected a plan file, got something else");
    run(&place.write("new.plan", "{\"format\":\"fourier-kv plan\",\"version\":9}"), "got version 9");
    run(&place.write("bytes.plan", content(1000)), "expected a plan file, got something else");

    let other = Place::gguf(&RandomModel::qwen2());
    let text = other.write("text.txt", "the sea and the man ".repeat(30));
    let plan = other.path("other.plan");
    let words = ["--text", &text, "-o", &plan, "--cache", SMALL_FOURIER, "--sequence", "100"];
    assert!(other.run("calibrate", &words).status.success());
    run(&plan, "the plan was made for the model random qwen2, not for random llama");

    let half = std::fs::read(&plan).unwrap();
    run(&place.write("half.plan", &half[..half.len() / 2]), "expected a plan file, got something else");

    // The right model, another band.
    let carrier = format!("{SMALL_FOURIER},band=carrier");
    other.fails("run", &["why", "--cache", &carrier, "--plan", &plan], 1, "the plan was made for band=base");
    other.fails(
        "run",
        &["why", "--cache", "exact", "--plan", &plan],
        2,
        "--plan has no effect with a cache of this kind",
    );
}

#[test]
fn with_json_an_error_is_one_object() {
    let place = Place::bytes(b"GGUF");
    let output = place.run("run", &["why", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let error = &json(&output)["error"];
    assert!(error["message"].is_string() && error["hint"].is_string(), "{error}");
    assert_eq!(stderr(&output), "");
}
