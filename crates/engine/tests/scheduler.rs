//! Many jobs at once, on a tiny random model: they say what they would say alone, within their bytes.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use fourier_kv_engine::scheduler::{
    AnswerOptions, Client, Job, JobError, JobEvent, Owner, Refused, Scheduler, SchedulerOptions, SessionError,
    SessionOrder, SessionPlace, SessionReply, Sink, Snapshot,
};
use fourier_kv_engine::{Engine, Finish, GenerateOptions, Penalties, Sampling};
use fourier_kv_testkit::RandomModel;

const SMALL: &str = "fourier:window=16,least-middle=16,harmonics=4,capacity=64";

/// Hears of a job; drops out when it is told to.
struct Ear {
    events: Sender<JobEvent>,
    gone: Arc<AtomicBool>,
}

impl Sink for Ear {
    fn event(&mut self, event: JobEvent) {
        let _ = self.events.send(event);
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }
}

struct Asked {
    events: Receiver<JobEvent>,
    gone: Arc<AtomicBool>,
}

/// What became of a job.
#[derive(Debug, Default)]
struct Heard {
    texts: Vec<String>,
    finishes: Vec<(usize, Finish, usize)>,
    reused: usize,
    failed: Option<JobError>,
}

impl Asked {
    fn all(self) -> Heard {
        let mut heard = Heard::default();
        for event in self.events {
            match event {
                JobEvent::Began { reused } => heard.reused = reused,
                JobEvent::Piece { answer, piece } => {
                    heard.texts.resize(heard.texts.len().max(answer + 1), String::new());
                    heard.texts[answer] += &piece.text;
                }
                JobEvent::Finished { answer, finish, tokens } => heard.finishes.push((answer, finish, tokens)),
                JobEvent::Failed(error) => heard.failed = Some(error),
            }
        }
        heard
    }
}

fn engine() -> Arc<Engine> {
    Arc::new(common::tiny(&RandomModel { context: 4096, ..RandomModel::llama() }))
}

fn options(cache: &str, cache_bytes: usize) -> SchedulerOptions {
    SchedulerOptions {
        cache: cache.parse().unwrap(),
        plan: None,
        cache_bytes,
        most_running: 8,
        most_queued: 64,
        least_kept: None,
        session_folder: None,
        park_after: Duration::from_secs(600),
    }
}

fn start(engine: &Arc<Engine>, options: SchedulerOptions) -> Scheduler {
    Scheduler::start(Arc::clone(engine), options).unwrap()
}

/// A prompt like no other.
fn prompt(number: usize, tokens: usize) -> Vec<u32> {
    (0..tokens).map(|i| 3 + ((i * 7 + number * 31 + i * i * number) % 90) as u32).collect()
}

fn job(prompt: Vec<u32>, max_tokens: usize) -> (Job, Asked) {
    let (sender, events) = channel();
    let gone = Arc::new(AtomicBool::new(false));
    let options = AnswerOptions { max_tokens, ignore_end: true, ..AnswerOptions::default() };
    let job = Job {
        client: Client("one".into()),
        owner: Owner("one".into()),
        prompt,
        answers: 1,
        options,
        session: None,
        constraints: Vec::new(),
        taken: Instant::now(),
        deadline: None,
        sink: Box::new(Ear { events: sender, gone: Arc::clone(&gone) }),
    };
    (job, Asked { events, gone })
}

fn ask(scheduler: &Scheduler, prompt: Vec<u32>, max_tokens: usize) -> Asked {
    let (job, asked) = job(prompt, max_tokens);
    scheduler.submit(job).unwrap();
    asked
}

/// What the engine says to a prompt that it has to itself.
fn alone(engine: &Engine, cache: &str, prompt: &[u32], max_tokens: usize) -> String {
    let options = GenerateOptions { max_tokens: Some(max_tokens), ignore_end: true, ..GenerateOptions::default() };
    let mut session = engine.session(&cache.parse().unwrap(), None).unwrap();
    engine.generate(&mut session, prompt, &options, &mut |_| ControlFlow::Continue(())).unwrap().text
}

/// Waits until `holds` holds of how things stand.
fn until(scheduler: &Scheduler, holds: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let begun = Instant::now();
    loop {
        let snapshot = scheduler.snapshot();
        if holds(&snapshot) {
            return snapshot;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{snapshot:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether nothing is in hand. What is shown may be a moment old.
fn is_at_rest(snapshot: &Snapshot) -> bool {
    snapshot.running.is_empty() && snapshot.reading == 0 && snapshot.reserved == 0 && snapshot.queued == 0
}

fn order(scheduler: &Scheduler, owner: &str, order: SessionOrder) -> SessionReply {
    let (told, reply) = channel();
    scheduler.order(Owner(owner.into()), order, move |result| told.send(result).unwrap());
    reply.recv().unwrap()
}

#[test]
fn answers_are_those_of_prompts_alone() {
    let engine = engine();
    for cache in ["exact:f32", SMALL] {
        let scheduler = start(&engine, options(cache, 1 << 30));
        let prompts: Vec<Vec<u32>> = (0..12).map(|i| prompt(i, 5 + 90 * i)).collect();
        let asked: Vec<Asked> = prompts.iter().map(|p| ask(&scheduler, p.clone(), 24)).collect();
        for (prompt, asked) in prompts.iter().zip(asked) {
            let heard = asked.all();
            assert_eq!(heard.finishes, [(0, Finish::Length, 24)]);
            assert_eq!(heard.texts, [alone(&engine, cache, prompt, 24)], "{cache}, {} tokens", prompt.len());
        }
        let end = until(&scheduler, is_at_rest);
        assert_eq!((end.bytes(), end.reserved, end.queued), (0, 0, 0));
        assert_eq!((end.counters.done, end.counters.generated_tokens), (12, 12 * 24));
        let most = 12 * 24;
        assert!(end.counters.steps < most * 3 / 4, "{} steps were shared", end.counters.steps);
    }
}

#[test]
fn pasts_never_hold_more_than_the_budget() {
    let engine = engine();
    let spectral = "spectral:2,window=28,least-middle=64";
    for cache in ["exact:bf16", "exact:f32", SMALL, "int4", "streaming:tokens=90,sink=3", spectral] {
        let Ok(kind) = cache.parse::<fourier_kv_engine::cache::CacheKind>() else { panic!("{cache}") };
        // Room for about two of the longest.
        let size = fourier_kv_engine::cache::PromptSize { tokens: 700, tile: 512 };
        let one = kind.expected_bytes(&engine.model().cache_shape(), None, size).unwrap().total();
        let budget = 2 * one + engine.model().cache_shape().exact_bytes(1200, 4);
        let scheduler = start(&engine, options(cache, budget));
        let asked: Vec<Asked> = (0..16).map(|i| ask(&scheduler, prompt(i, 100 + 40 * i), 40)).collect();
        let (mut bytes, mut reserved, mut open) = (0, 0, asked);
        while !open.is_empty() {
            let now = scheduler.snapshot();
            (bytes, reserved) = (bytes.max(now.bytes()), reserved.max(now.reserved));
            open.retain(|asked| match asked.events.try_recv() {
                Ok(JobEvent::Finished { finish, tokens, .. }) => {
                    assert_eq!((finish, tokens), (Finish::Length, 40), "{cache}");
                    false
                }
                Ok(JobEvent::Failed(error)) => panic!("{cache}: {error}"),
                _ => true,
            });
        }
        assert!(bytes > 0 && bytes <= budget && reserved <= budget, "{cache}: {bytes}, {reserved} of {budget}");
        assert_eq!(until(&scheduler, is_at_rest).bytes(), 0, "{cache}");
    }
}

#[test]
fn several_answers_to_one_prompt_differ_by_their_seeds() {
    let engine = engine();
    let scheduler = start(&engine, options(SMALL, 1 << 30));
    let ask_three = |seed| {
        let (mut job, asked) = job(prompt(1, 200), 20);
        job.answers = 3;
        job.options.sampling = Sampling::Random { temperature: 1.5, top_k: 0, top_p: 1.0, min_p: 0.0, seed };
        scheduler.submit(job).unwrap();
        asked.all()
    };
    let (first, again) = (ask_three(5), ask_three(5));
    assert_eq!(first.finishes.len(), 3);
    assert_eq!(first.texts, again.texts);
    assert!(first.texts[0] != first.texts[1] && first.texts[1] != first.texts[2]);
    assert_eq!(ask_three(6).texts[0], first.texts[1], "seeds follow each other");
}

#[test]
fn penalties_and_stops_work() {
    let engine = engine();
    let scheduler = start(&engine, options(SMALL, 1 << 30));
    let text = ask(&scheduler, prompt(3, 50), 40).all().texts.remove(0);
    let stop: String = text.chars().skip(10).take(2).collect();
    let (mut stopped, asked) = job(prompt(3, 50), 40);
    stopped.options.stop = vec![stop.clone()];
    scheduler.submit(stopped).unwrap();
    let heard = asked.all();
    assert_eq!(heard.finishes[0].1, Finish::Stop(stop.clone()));
    assert_eq!(heard.texts[0], text[..text.find(&stop).unwrap()]);
    // A token that is forbidden never comes; one that is wanted always does.
    let (mut biased, asked) = job(prompt(3, 50), 10);
    biased.options.penalties = Penalties { bias: vec![(30, 1000.0)], ..Penalties::default() };
    scheduler.submit(biased).unwrap();
    assert_eq!(asked.all().texts[0], engine.tokenizer().decode(&[30; 10], true));
}

#[test]
fn a_full_queue_refuses_and_says_when_to_come_back() {
    let engine = engine();
    let scheduler = start(&engine, SchedulerOptions { most_queued: 2, most_running: 1, ..options(SMALL, 1 << 30) });
    let first = ask(&scheduler, prompt(0, 10), 3000);
    until(&scheduler, |s| s.running.len() == 1);
    let waiting = [ask(&scheduler, prompt(1, 10), 2), ask(&scheduler, prompt(2, 10), 2)];
    let (refused, _) = job(prompt(3, 10), 2);
    match scheduler.submit(refused) {
        Err(Refused::QueueFull { queued: 2, retry_after }) => assert!(retry_after >= Duration::from_secs(1)),
        other => panic!("{other:?}"),
    }
    first.gone.store(true, Ordering::SeqCst);
    for asked in waiting {
        assert_eq!(asked.all().finishes.len(), 1);
    }
    let end = until(&scheduler, is_at_rest);
    assert_eq!((end.counters.left, end.counters.refused_full, end.bytes()), (1, 1, 0));
}

#[test]
fn who_leaves_is_forgotten_whatever_happens_then() {
    let engine = engine();
    let scheduler = start(&engine, SchedulerOptions { most_running: 2, ..options(SMALL, 1 << 30) });
    let running = [ask(&scheduler, prompt(0, 10), 4000), ask(&scheduler, prompt(1, 3000), 900)];
    let waiting = ask(&scheduler, prompt(2, 3000), 900);
    let stays = ask(&scheduler, prompt(3, 40), 8);
    for asked in running.iter().chain([&waiting]) {
        asked.gone.store(true, Ordering::SeqCst);
    }
    assert_eq!(stays.all().texts, [alone(&engine, SMALL, &prompt(3, 40), 8)]);
    let end = until(&scheduler, |s| is_at_rest(s) && s.counters.left == 3);
    assert_eq!((end.bytes(), end.reserved), (0, 0));
}

#[test]
fn deadlines_end_what_runs_and_what_waits() {
    let engine = engine();
    let scheduler = start(&engine, SchedulerOptions { most_running: 1, ..options(SMALL, 1 << 30) });
    let late = || {
        let (mut job, asked) = job(prompt(0, 10), 4000);
        job.deadline = Some(Instant::now() + Duration::from_millis(150));
        scheduler.submit(job).unwrap();
        asked
    };
    for asked in [late(), late()] {
        assert_eq!(asked.all().failed, Some(JobError::Timeout));
    }
    assert_eq!(until(&scheduler, |s| is_at_rest(s) && s.counters.timed_out == 2).bytes(), 0);
}

#[test]
fn short_prompts_and_running_answers_do_not_wait_for_a_long_prompt() {
    let engine = engine();
    let scheduler = start(&engine, options(SMALL, 1 << 30));
    let long = ask(&scheduler, prompt(0, 4000), 2);
    until(&scheduler, |s| s.reading == 1);
    let short = ask(&scheduler, prompt(1, 12), 4);
    let heard = short.all();
    assert_eq!(heard.texts, [alone(&engine, SMALL, &prompt(1, 12), 4)]);
    // The long one is answered rightly, too, although others were computed between its tiles.
    assert_eq!(long.all().texts, [alone(&engine, SMALL, &prompt(0, 4000), 2)]);
}

#[test]
fn beginnings_in_common_are_read_once() {
    let engine = engine();
    let scheduler = start(&engine, SchedulerOptions { least_kept: Some(100), ..options("exact:f32", 1 << 30) });
    let document = prompt(9, 1500);
    let question = |i: usize| [document.clone(), prompt(i, 20)].concat();
    let reused: Vec<usize> = (0..5)
        .map(|i| {
            let heard = ask(&scheduler, question(i), 6).all();
            assert_eq!(heard.texts, [alone(&engine, "exact:f32", &question(i), 6)]);
            heard.reused
        })
        .collect();
    assert!(reused[0] == 0 && reused[1] == 0, "the second question shows what they have in common: {reused:?}");
    assert!(reused[2..].iter().all(|&tokens| tokens >= 1500), "{reused:?}");
    // Another owner sees nothing of it.
    let (mut other, asked) = job(question(7), 2);
    other.owner = Owner("another".into());
    scheduler.submit(other).unwrap();
    assert_eq!(asked.all().reused, 0);
}

#[test]
fn kept_pasts_give_way() {
    let engine = engine();
    let shape = engine.model().cache_shape();
    let budget = shape.exact_bytes(3000, 4);
    let scheduler = start(&engine, SchedulerOptions { least_kept: Some(50), ..options("exact:f32", budget) });
    for i in 0..6 {
        assert_eq!(ask(&scheduler, prompt(i, 900), 10).all().finishes.len(), 1);
    }
    let end = until(&scheduler, |snapshot| is_at_rest(snapshot) && snapshot.counters.done == 6);
    assert!(end.bytes() <= budget && !end.kept.is_empty() && end.counters.evicted >= 3, "{end:?}");
}

#[test]
fn what_can_never_be_done_is_refused_at_once() {
    let engine = engine();
    let scheduler = start(&engine, options("exact:f32", engine.model().cache_shape().exact_bytes(600, 4)));
    let refused = |prompt: Vec<u32>, max_tokens| scheduler.submit(job(prompt, max_tokens).0).unwrap_err();
    assert_eq!(refused(Vec::new(), 1), Refused::EmptyPrompt);
    assert_eq!(refused(prompt(0, 4096), 1), Refused::TooLong { tokens: 4096, context: 4096 });
    assert!(matches!(refused(prompt(0, 900), 1), Refused::TooLarge { .. }));
    assert!(matches!(refused(prompt(0, 10), 4000), Refused::TooLarge { .. }));
    assert_eq!(refused(prompt(0, 10), 0), Refused::NoAnswer);
}

#[test]
fn stopping_lets_what_runs_end() {
    let engine = engine();
    let scheduler = start(&engine, SchedulerOptions { most_running: 1, ..options(SMALL, 1 << 30) });
    let (running, waiting) = (ask(&scheduler, prompt(0, 10), 4000), ask(&scheduler, prompt(1, 10), 2));
    until(&scheduler, |s| s.running.len() == 1);
    scheduler.stop(Duration::from_secs(60));
    assert_eq!(running.all().finishes, [(0, Finish::Length, 4000)]);
    assert_eq!(waiting.all().failed, Some(JobError::Stopping));
    assert_eq!(scheduler.submit(job(prompt(2, 5), 1).0), Err(Refused::Stopping));
    assert_eq!(order(&scheduler, "one", SessionOrder::List), Err(SessionError::Stopping));
}

/// A job in a session.
fn say(scheduler: &Scheduler, session: &str, prompt: Vec<u32>, max_tokens: usize) -> Heard {
    let (mut job, asked) = job(prompt, max_tokens);
    job.session = Some(session.to_owned());
    scheduler.submit(job).unwrap();
    asked.all()
}

#[test]
fn a_session_that_was_parked_goes_on_to_the_bit() {
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    let parking = || SchedulerOptions { session_folder: Some(folder.path().to_owned()), ..options(SMALL, 1 << 30) };
    let turns: Vec<Vec<u32>> = (0..3).map(|i| prompt(i, 150)).collect();
    let scheduler = start(&engine, parking());
    let create = |id: &str| order(&scheduler, "one", SessionOrder::Create(id.into())).unwrap();
    assert_eq!(create("session-a")[0].place, SessionPlace::Empty);
    create("session-b");
    // One stays in memory, the other goes to disk and back between the turns, the second time over a restart.
    let mut said = Vec::new();
    let mut so_far: Vec<u32> = Vec::new();
    for turn in &turns[..2] {
        so_far.extend(turn);
        let (a, b) = (say(&scheduler, "session-a", so_far.clone(), 1), say(&scheduler, "session-b", so_far.clone(), 1));
        assert_eq!((&a.texts, a.reused), (&b.texts, b.reused));
        let saved = order(&scheduler, "one", SessionOrder::Save("session-b".into())).unwrap();
        assert!(saved[0].place == SessionPlace::Parked && saved[0].file_bytes > 1000 && saved[0].bytes == 0);
        said.push(a.texts);
    }
    so_far.extend(&turns[2]);
    let (mut whole, asked) = job(so_far.clone(), 12);
    whole.session = Some("session-a".into());
    scheduler.submit(whole).unwrap();
    let expected = asked.all();
    assert_eq!(expected.reused, 300);
    drop(scheduler);

    let scheduler = start(&engine, parking());
    let listed = order(&scheduler, "one", SessionOrder::List).unwrap();
    assert_eq!(listed.iter().map(|s| s.place).collect::<Vec<_>>(), [SessionPlace::Parked; 2]);
    let heard = say(&scheduler, "session-b", so_far.clone(), 12);
    assert_eq!((heard.texts, heard.reused), (expected.texts, 300));

    // Nobody else sees them, and a name leads nowhere but to a session.
    let unknown = |id: &str| Err(SessionError::Unknown(id.into()));
    assert_eq!(order(&scheduler, "two", SessionOrder::List), Ok(Vec::new()));
    for id in ["session-b", "../session-b", "one/session-b", "", "/etc/passwd"] {
        assert_eq!(order(&scheduler, "two", SessionOrder::Restore(id.into())), unknown(id));
        assert_eq!(order(&scheduler, "two", SessionOrder::Delete(id.into())), unknown(id));
    }
    let gone = order(&scheduler, "one", SessionOrder::Delete("session-b".into())).unwrap();
    assert_eq!(gone[0].id, "session-b");
    assert!(!folder.path().join("one/session-b.session").exists());
    assert_eq!(order(&scheduler, "one", SessionOrder::Show("session-b".into())), unknown("session-b"));
}

#[test]
fn damaged_sessions_are_seen_and_the_others_live_on() {
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    let parking = SchedulerOptions { session_folder: Some(folder.path().to_owned()), ..options(SMALL, 1 << 30) };
    let scheduler = start(&engine, parking);
    for id in ["session-a", "session-b"] {
        order(&scheduler, "one", SessionOrder::Create(id.into())).unwrap();
        say(&scheduler, id, prompt(4, 200), 2);
        order(&scheduler, "one", SessionOrder::Save(id.into())).unwrap();
    }
    let file = folder.path().join("one/session-a.session");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let restore = |id: &str| order(&scheduler, "one", SessionOrder::Restore(id.into()));
    assert!(matches!(restore("session-a"), Err(SessionError::Damaged(_))));
    let failed = say(&scheduler, "session-a", prompt(4, 300), 2).failed;
    assert!(matches!(failed, Some(JobError::Session(SessionError::Damaged(_)))), "{failed:?}");
    assert_eq!(restore("session-b").unwrap()[0].place, SessionPlace::Held);
    order(&scheduler, "one", SessionOrder::Delete("session-a".into())).unwrap();
}

#[test]
fn idle_sessions_make_room() {
    let engine = engine();
    let folder = tempfile::tempdir().unwrap();
    let budget = engine.model().cache_shape().exact_bytes(2500, 4);
    let scheduler = start(
        &engine,
        SchedulerOptions { session_folder: Some(folder.path().to_owned()), ..options("exact:f32", budget) },
    );
    for i in 0..5 {
        let id = format!("session-{i}");
        order(&scheduler, "one", SessionOrder::Create(id.clone())).unwrap();
        assert_eq!(say(&scheduler, &id, prompt(i, 700), 1).failed, None);
    }
    let end = until(&scheduler, is_at_rest);
    assert!(end.bytes() <= budget);
    let places: Vec<SessionPlace> =
        order(&scheduler, "one", SessionOrder::List).unwrap().iter().map(|s| s.place).collect();
    assert_eq!((places[0], places[4]), (SessionPlace::Parked, SessionPlace::Held));
    // The first is read back when it is asked for.
    let more = [prompt(0, 700), prompt(8, 30)].concat();
    assert_eq!(say(&scheduler, "session-0", more, 4).reused, 700);
}
