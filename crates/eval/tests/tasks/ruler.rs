//! RULER's items against independent solvers, its rules and its lengths.

use std::fs;

use fourier_kv_eval::item::{Document, TokenCount};
use fourier_kv_eval::tasks::{Haystack, Metric, Ruler, RulerTask, Task, TaskError, WordLists};

use crate::solvers::{coded, counted, listed, niah, numbered, variables};
use crate::support::{Bytes, Refusing, Words, data, folder, prompt, used};

const LENGTHS: [usize; 4] = [1500, 4000, 4096, 12_000];

/// Tasks of one kind with several seeds and lengths, with built-in words and, if they are there, the real ones.
fn each(task: RulerTask, mut check: impl FnMut(&Ruler, &Document, &dyn TokenCount)) {
    let words = Words::default();
    let tokenizers: [&dyn TokenCount; 2] = [&Bytes, &words];
    for (i, length) in LENGTHS.into_iter().enumerate() {
        for seed in [42, 7 + i as u64] {
            for real in [false, true] {
                let mut ruler = Ruler { seed, ..Ruler::new(task, length, 3) };
                if real {
                    let (Some(lists), Some(essays)) = (data("ruler"), data("niah")) else { continue };
                    ruler.words = WordLists::folder(&lists).unwrap();
                    ruler.haystack = Haystack::folder(&essays).unwrap();
                }
                for tokens in tokenizers {
                    for index in 0..ruler.count() {
                        let document = ruler.document(index, tokens).unwrap();
                        check(&ruler, &document, tokens);
                    }
                }
            }
        }
    }
}

/// The only question of a document, as the model sees it, and its answers.
fn asked(document: &Document) -> (String, Vec<String>) {
    assert_eq!(document.questions.len(), 1);
    (prompt(document, &document.questions[0]), document.questions[0].answers.clone())
}

fn sorted(mut items: Vec<String>) -> Vec<String> {
    items.sort();
    items
}

#[test]
fn needles_say_what_the_answers_say() {
    for task in RulerTask::ALL.into_iter().filter(|t| t.name().starts_with("niah")) {
        let values = match task {
            RulerTask::NiahMultivalue | RulerTask::NiahMultiquery => 4,
            _ => 1,
        };
        each(task, |_, document, _| {
            let (prompt, answers) = asked(document);
            assert_eq!(answers.len(), values);
            assert_eq!(sorted(niah(&prompt)), sorted(answers.clone()), "{}", task.name());
            for answer in answers {
                let uuid = matches!(task, RulerTask::NiahSingle3 | RulerTask::NiahMultikey3);
                assert_eq!(answer.len(), if uuid { 36 } else { 7 });
            }
        });
    }
}

#[test]
fn haystacks_are_of_their_kind() {
    let needle = "One of the special magic ";
    let of = |task| Ruler::new(task, 4096, 1).document(0, &Bytes).unwrap().context;
    let noise = of(RulerTask::NiahSingle1);
    let (head, hay) = noise.split_once('\n').unwrap();
    assert!(head.starts_with("A special magic number is hidden"));
    let lines: Vec<&str> = hay.lines().collect();
    assert_eq!(lines.iter().filter(|l| l.starts_with(needle)).count(), 1);
    let grass = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
    assert_eq!(lines.iter().filter(|l| **l == grass).count(), lines.len() - 1);

    let distractors = of(RulerTask::NiahMultikey2);
    let (_, hay) = distractors.split_once('\n').unwrap();
    assert!(hay.lines().count() > 100 && hay.lines().all(|l| l.starts_with(needle) && l.ends_with('.')));

    for (task, needles) in [(RulerTask::NiahSingle2, 1), (RulerTask::NiahMultikey1, 4), (RulerTask::NiahMultivalue, 4)]
    {
        let essay = of(task);
        assert_eq!(essay.matches(needle).count(), needles);
        // A needle follows the end of a sentence, or nothing.
        let (_, hay) = essay.split_once('\n').unwrap();
        for (at, _) in hay.match_indices(needle) {
            assert!(at == 0 || hay[..at].trim_end().ends_with(['.', '?', '!', '"', ')']));
        }
    }
}

#[test]
fn depths_of_needles_in_essays_are_spread() {
    let ruler = Ruler::new(RulerTask::NiahSingle2, 4096, 40);
    let mut quarters = [0; 4];
    for index in 0..40 {
        let context = ruler.document(index, &Bytes).unwrap().context;
        let at = context.find("One of the special magic").unwrap();
        quarters[(4 * at / context.len()).min(3)] += 1;
    }
    assert!(quarters.iter().all(|&n| n >= 3), "{quarters:?}");
}

#[test]
fn chains_lead_to_the_value() {
    each(RulerTask::Vt, |_, document, _| {
        let (prompt, answers) = asked(document);
        let (example, task) = prompt.split_once("\n\nMemorize and track").unwrap();
        assert_eq!(variables(task), answers);
        assert!(answers.len() == 5 && answers.iter().all(|a| a.len() == 5));
        assert!(prompt.ends_with(", they are: "));
        // The example is solved rightly, by its own text alone.
        let (shown, solution) = example.rsplit_once("they are:  ").unwrap();
        assert_eq!(variables(shown), solution.split(' ').collect::<Vec<_>>());
        assert!(variables(shown).iter().all(|name| name.len() == 3));
        assert!(example.starts_with("Memorize and track"));
    });
}

#[test]
fn common_words_are_the_most_common() {
    each(RulerTask::Cwe, |ruler, document, _| {
        let (common, others) = if ruler.length < 4096 { (6, 1) } else { (30, 3) };
        let (prompt, answers) = asked(document);
        let top = counted(listed(&prompt));
        let ten: Vec<String> = top[..10].iter().map(|(_, word)| word.clone()).collect();
        assert_eq!(sorted(ten), sorted(answers));
        assert!(top[..10].iter().all(|(n, _)| *n == common));
        assert!(top.len() >= 20 && top[10..].iter().all(|(n, _)| *n == others));

        let (example, _) = prompt.split_once("\nBelow is a numbered list").unwrap();
        let (_, shown) = example.rsplit_once("in the list are: ").unwrap();
        let (common, others, size) = if ruler.length < 4096 { (3, 1, 20) } else { (10, 3, 40) };
        let top = counted(listed(example));
        let ten: Vec<String> = top[..10].iter().map(|(_, word)| word.clone()).collect();
        assert_eq!(sorted(ten), sorted(numbered(shown)));
        assert_eq!((top.len(), top[9].0, top[10].0), (size, common, others));
    });
}

#[test]
fn frequent_words_are_the_most_frequent() {
    each(RulerTask::Fwe, |_, document, _| {
        let (prompt, answers) = asked(document);
        let top = counted(coded(&prompt));
        let three: Vec<String> = top[..3].iter().map(|(_, word)| word.clone()).collect();
        assert_eq!(three, answers);
        assert!(top[2].0 > top[3].0);
        assert!(top.iter().all(|(_, w)| w.len() == 6 && w.bytes().all(|b| b.is_ascii_lowercase())));
        // Counts fall with the square of the rank: rank 2 is a quarter of the dots' share, rank 4 a quarter of it.
        let dots = prompt.split("\nQuestion").next().unwrap().matches(" ...").count() as f64;
        assert!((dots / top[0].0 as f64 - 4.0).abs() < 0.5, "{dots} {}", top[0].0);
        assert!((top[0].0 as f64 / top[2].0 as f64 - 4.0).abs() < 1.0);
    });
}

#[test]
fn lengths_are_kept_and_used() {
    for task in RulerTask::ALL {
        each(task, |ruler, document, tokens| {
            let question = &document.questions[0];
            let used = used(document, question, tokens);
            assert!(used <= ruler.length, "{} {used} of {}", task.name(), ruler.length);
            // What is left is at most a step of haystack, and what the sample differs from the one that was measured.
            let line = tokens.encode(document.context.lines().last().unwrap()).unwrap().len();
            let lines = if ruler.length < 4096 { 5 } else { 25 };
            let step = match task {
                RulerTask::NiahSingle1 | RulerTask::NiahMultikey2 | RulerTask::NiahMultikey3 => lines * line.max(24),
                RulerTask::Vt => 10 * line.max(24),
                RulerTask::Cwe => 600,
                RulerTask::Fwe => ruler.length / 15,
                _ => 900,
            };
            assert!(used + step + 50 > ruler.length, "{} {used} of {}, step {step}", task.name(), ruler.length);
            assert_eq!(question.labels["length"], ruler.length as f64);
        });
    }
}

#[test]
fn seeds_fix_and_change_the_documents() {
    for task in RulerTask::ALL {
        let of = |seed, index| Ruler { seed, ..Ruler::new(task, 2048, 4) }.document(index, &Bytes).unwrap();
        assert_eq!(of(1, 2), of(1, 2));
        assert_ne!(of(1, 2).context, of(2, 2).context);
        assert_ne!(of(1, 2).context, of(1, 3).context);
        assert_ne!(of(1, 2).id, of(1, 3).id);
    }
}

#[test]
fn what_cannot_be_made_is_told() {
    for task in RulerTask::ALL {
        let tiny = Ruler::new(task, 140, 1).document(0, &Bytes);
        assert!(matches!(tiny, Err(TaskError::TooShort { length: 140, .. })), "{} {tiny:?}", task.name());
        let ruler = Ruler::new(task, 2000, 1);
        assert!(matches!(ruler.document(1, &Bytes), Err(TaskError::NoSuchDocument { index: 1, count: 1, .. })));
        assert!(matches!(ruler.document(0, &Refusing), Err(TaskError::Tokens(_))));
        assert_eq!(ruler.metric(), Metric::MatchAll);
        assert_eq!(RulerTask::parse(task.name()), Some(task));
    }
    assert_eq!(RulerTask::parse("qa_1"), None);
    assert!(matches!(WordLists::folder(std::path::Path::new("no/such")), Err(TaskError::Io { .. })));
    let empty = WordLists::folder(&folder("words")).unwrap_err().to_string();
    assert!(empty.contains("has no file named *nounlist.txt"), "{empty}");
}

#[test]
fn long_lists_of_few_words_are_filled_with_made_up_ones() {
    let folder = folder("few-words");
    for (name, words) in [("nounlist.txt", "sun\nmoon\n"), ("adjectivelist.txt", "red\n"), ("verblist.txt", "go\n")] {
        fs::write(folder.join(name), words).unwrap();
    }
    let few = WordLists::folder(&folder).unwrap();
    let ruler = Ruler { words: few, ..Ruler::new(RulerTask::Cwe, 8000, 1) };
    let (prompt, answers) = asked(&ruler.document(0, &Bytes).unwrap());
    let top = counted(listed(&prompt));
    assert!(top.len() > 100 && top[9].0 == 30 && top[10].0 == 3);
    assert!(answers.iter().all(|a| top[..10].iter().any(|(_, w)| w == a)));
    // The real lists, or the built-in ones, are long enough: nothing else is among the words.
    let built_in = Ruler::new(RulerTask::Cwe, 12_000, 1).document(0, &Bytes).unwrap();
    let longest = listed(&asked(&built_in).0).into_iter().map(|w| w.len()).max().unwrap();
    assert!(longest <= 15, "{longest}");
}

/// Recorded when the generator was made: items must not change unnoticed, nor from machine to machine.
#[test]
fn items_are_the_recorded_ones() {
    let answers = |task| Ruler::new(task, 2048, 1).document(0, &Bytes).unwrap().questions.remove(0).answers.join(" ");
    let all: Vec<String> = RulerTask::ALL.into_iter().map(answers).collect();
    assert_eq!(all, RECORDED);
}

const RECORDED: [&str; 11] = [
    "1067988",
    "6731230",
    "a58e1e7d-bdf7-4d7e-ac79-7ebe76f2fec5",
    "1343492",
    "4011337",
    "2f392101-75a8-413a-b43d-d6c307b5a369",
    "5481105 4863647 2053742 5697477",
    "3325384 6900452 8051003 7345092",
    "RYSLY LRCSV XNHMW GELXI WNPYU",
    "faissemish rainais memtris fanhoomate varfais larfutish vootoockate deansasate zelel tickfam",
    "yypgii spdrkx jesoba",
];
