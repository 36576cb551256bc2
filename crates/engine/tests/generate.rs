//! Generation, sessions and calibration on tiny random models.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use fourier_kv_engine::cache::CacheKind;
use fourier_kv_engine::cache::fourier::FourierSettings;
use fourier_kv_engine::cache::plan::PlanError;
use fourier_kv_engine::model::decoder::{ForwardError, LogitRows};
use fourier_kv_engine::{
    CalibrateOptions, Engine, EngineError, Event, Finish, GenerateOptions, Generation, Message, Sampling, Session,
    calibrate,
};
use fourier_kv_testkit::RandomModel;

fn engine() -> Engine {
    common::tiny(&RandomModel::llama())
}

fn session(engine: &Engine) -> Session<'_> {
    let kind = "fourier:window=16,least-middle=16,harmonics=4,capacity=64";
    engine.session(&kind.parse().unwrap(), None).unwrap()
}

fn ask(engine: &Engine, options: &GenerateOptions) -> Generation {
    let prompt: Vec<u32> = (0..60).map(|i| 3 + i * 7 % 90).collect();
    engine.generate(&mut session(engine), &prompt, options, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn options(max_tokens: usize) -> GenerateOptions {
    GenerateOptions { max_tokens: Some(max_tokens), ignore_end: true, ..GenerateOptions::default() }
}

#[test]
fn ends_are_told_apart() {
    let engine = engine();
    let whole = ask(&engine, &options(40));
    assert_eq!((whole.finish, whole.tokens.len(), whole.decode_passes), (Finish::Length, 40, 39));
    assert!(whole.text.len() > 10, "{:?}", whole.text);

    let none = ask(&engine, &options(0));
    assert_eq!((none.finish, none.tokens.len(), none.text.as_str()), (Finish::Length, 0, ""));

    // Stop at something that the answer holds: the same answer up to there.
    let at = whole.text.char_indices().nth(6).unwrap().0;
    let stop: String = whole.text[at..].chars().take(3).collect();
    let stopped = ask(&engine, &GenerateOptions { stop: vec!["never".repeat(9), stop.clone()], ..options(40) });
    assert_eq!(stopped.finish, Finish::Stop(stop.clone()));
    assert_eq!(stopped.text, whole.text[..whole.text.find(&stop).unwrap()]);

    // The model's context is 256.
    let full = ask(&engine, &GenerateOptions { max_tokens: None, ..options(0) });
    assert_eq!((full.finish, full.tokens.len()), (Finish::Context, 256 - 60));
    let beyond = ask(&engine, &GenerateOptions { past_context: true, ..options(300) });
    assert_eq!((beyond.finish, beyond.tokens.len()), (Finish::Length, 300));
}

#[test]
fn pieces_are_the_text_and_interruptions_keep_what_was_made() {
    let engine = engine();
    let prompt = [5, 6, 7];
    let mut pieces = String::new();
    let mut tokens = 0;
    let whole = engine
        .generate(&mut session(&engine), &prompt, &options(50), &mut |event| {
            match event {
                Event::Text(text) => pieces += text,
                Event::Token => tokens += 1,
                Event::Prompt(_) | Event::PromptDone => {}
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!((pieces, tokens), (whole.text.clone(), 50));

    let mut seen = 0;
    let cut = engine
        .generate(&mut session(&engine), &prompt, &options(50), &mut |event| {
            seen += usize::from(matches!(event, Event::Token));
            if seen == 10 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!((cut.finish, cut.tokens.as_slice()), (Finish::Interrupted, &whole.tokens[..10]));
    assert!(whole.text.starts_with(&cut.text));
}

#[test]
fn a_prompt_that_was_interrupted_breaks_the_session() {
    let engine = engine();
    let mut session = session(&engine);
    let stop = &mut |_: Event<'_>| ControlFlow::Break(());
    let error = engine.generate(&mut session, &[1, 2, 3], &options(5), stop).unwrap_err();
    assert!(matches!(error, EngineError::Forward(ForwardError::Stopped)), "{error}");
    assert!(matches!(session.step(1), Err(EngineError::Broken)));
}

#[test]
fn prompts_that_cannot_be_are_refused_and_harm_nothing() {
    let engine = engine();
    let mut session = session(&engine);
    let mut go = |prompt: &[u32], options: &GenerateOptions| {
        engine.generate(&mut session, prompt, options, &mut |_| ControlFlow::Continue(())).map(|g| g.tokens.len())
    };
    assert!(matches!(go(&[], &options(5)), Err(EngineError::EmptyPrompt)));
    let long = vec![1; 256];
    assert!(matches!(go(&long, &options(5)), Err(EngineError::PromptTooLong { tokens: 256, context: 256 })));
    assert!(matches!(go(&[96], &options(5)), Err(EngineError::Forward(ForwardError::Token { .. }))));
    let hot = Sampling::Random { temperature: -1.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed: 0 };
    assert!(matches!(go(&[1], &GenerateOptions { sampling: hot, ..options(5) }), Err(EngineError::Sampler(_))));
    assert_eq!(go(&[1], &options(5)).unwrap(), 5);
}

#[test]
fn answers_do_not_depend_on_the_run_and_seeds_decide() {
    let engine = engine();
    let sampled = |seed| {
        let sampling = Sampling::Random { temperature: 1.5, top_k: 40, top_p: 0.95, min_p: 0.0, seed };
        ask(&engine, &GenerateOptions { sampling, ..options(30) }).tokens
    };
    assert_eq!(sampled(1), sampled(1));
    assert_ne!(sampled(1), sampled(2));
    assert_eq!(ask(&engine, &options(30)).tokens, ask(&engine, &options(30)).tokens);
}

#[test]
fn turns_follow_one_another() {
    let engine = engine();
    let mut session = session(&engine);
    let mut turn = |text: &str| {
        let prompt = engine.chat_prompt(&[Message::new("user", text)]).unwrap();
        engine.generate(&mut session, &prompt, &options(7), &mut |_| ControlFlow::Continue(())).unwrap();
        (session.tokens().len(), session.cache().len())
    };
    let (first, second) = (turn("abc"), turn("def ghi"));
    assert_eq!(first.0, first.1);
    assert_eq!(second.0, second.1);
    assert!(second.0 > first.0 + 7);
}

#[test]
fn calibration_makes_a_plan_for_this_model_alone() {
    let (llama, qwen) = (engine(), common::tiny(&RandomModel::qwen2()));
    let settings: FourierSettings = "window=16,least-middle=32,harmonics=8".parse().unwrap();
    let options = CalibrateOptions { settings: settings.clone(), tokens: 500, sequence: 200 };
    let text = "the cat sat on the mat and looked at the moon. ".repeat(40);
    let make = |engine: &Engine| calibrate(engine, &text, &options, &mut |_| ControlFlow::Continue(()));
    let plan = make(&llama).unwrap();
    assert_eq!(plan, make(&llama).unwrap(), "the same from run to run");
    assert_eq!((plan.origin.tokens, plan.origin.sequences), (500, 3));
    assert_eq!((plan.heads.len(), plan.heads[0].len()), (2, 2));

    let kind = CacheKind::Fourier(settings);
    let plan = Arc::new(plan);
    assert!(llama.session(&kind, Some(plan.clone())).is_ok());
    let error = qwen.session(&kind, Some(plan)).unwrap_err();
    assert!(matches!(error, EngineError::Plan(PlanError::OtherModel { .. })), "{error}");

    let short = CalibrateOptions { sequence: 30, ..options.clone() };
    let refused = calibrate(&llama, &text, &short, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(EngineError::ShortSequence { .. })));
    let refused = calibrate(&llama, "too short", &options, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(EngineError::ShortText { .. })));
    let stopped = calibrate(&llama, &text, &options, &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(EngineError::Forward(ForwardError::Stopped))));
}

/// A plan made from a prompt's own text chooses what the cache chooses from that prompt by itself.
#[test]
fn a_plan_agrees_with_the_choice_from_the_prompt() {
    use fourier_kv_engine::cache::FourierCache;
    let engine = engine();
    let settings: FourierSettings = "window=16,least-middle=32,harmonics=8,exact=f32".parse().unwrap();
    let text = "what is said once is said twice, and what is said twice is written down. ".repeat(9);
    let tokens = engine.text_prompt(&text).unwrap();
    let tokens = &tokens[..240];
    let options = CalibrateOptions { settings: settings.clone(), tokens: 240, sequence: 240 };
    let plan = calibrate(&engine, &text, &options, &mut |_| ControlFlow::Continue(())).unwrap();

    let context = engine.cache_context().unwrap().clone();
    let mut cache = FourierCache::<f32, f32>::new(settings, context, None).unwrap();
    let mut batch = [fourier_kv_engine::model::decoder::Sequence {
        tokens,
        cache: &mut cache,
        end_of_prompt: true,
        logits: LogitRows::None,
    }];
    let model = engine.model();
    let watch = &mut |_| ControlFlow::Continue(());
    model.forward(&mut batch, engine.workspace(), &mut model.activations(), watch).unwrap();
    assert_eq!(cache.chosen().unwrap(), plan.heads);
}
