//! Passages are whole stretches of their text.

use std::fs;

use fourier_kv_eval::item::TokenCount;
use fourier_kv_eval::tasks::{Ppl, TaskError};

use crate::support::{Bytes, data, folder};

#[test]
fn passages_are_stretches_of_the_text() {
    let folder = folder("ppl");
    let (long, short) = (folder.join("long.txt"), folder.join("short.txt"));
    let text: String = (0..5000).map(|i| format!("{i} ")).collect();
    fs::write(&long, &text).unwrap();
    fs::write(&short, "too short").unwrap();
    let ppl = Ppl { prefix: 300, continuation: 50, windows: 4, ..Ppl::new(vec![long, short, folder.join("none")]) };
    assert_eq!(ppl.count(), 12);
    let all = Bytes.encode(&text).unwrap();
    let passages = ppl.passages(0, &Bytes).unwrap();
    assert_eq!(passages.len(), 4);
    let mut starts = Vec::new();
    for passage in &passages {
        let start: usize = passage.id.strip_prefix("long:").unwrap().parse().unwrap();
        assert_eq!(passage.prefix, all[start..start + 300]);
        assert_eq!(passage.continuation, all[start + 300..start + 350]);
        starts.push(start);
    }
    assert_eq!((starts[0], starts[3]), (0, all.len() - 350));
    assert!(starts.windows(2).all(|pair| (pair[1] - pair[0]).abs_diff((all.len() - 350) / 3) <= 1));

    assert!(ppl.passages(1, &Bytes).unwrap_err().to_string().contains("short.txt: 3 tokens; a passage needs 350"));
    assert!(matches!(ppl.passages(2, &Bytes), Err(TaskError::Io { .. })));
    assert!(matches!(ppl.passages(3, &Bytes), Err(TaskError::NoSuchDocument { .. })));
    let nothing = Ppl { continuation: 0, ..ppl };
    assert!(matches!(nothing.passages(0, &Bytes), Err(TaskError::Setting { .. })));
}

#[test]
fn the_texts_at_hand_are_long_enough() {
    let Some(folder) = data("ppl") else { return };
    let ppl = Ppl { windows: 2, ..Ppl::new(vec![folder.join("wikitext2_test.txt")]) };
    let passages = ppl.passages(0, &Bytes).unwrap();
    assert!(passages.iter().all(|p| p.prefix.len() == 7168 && p.continuation.len() == 768));
    assert_ne!(passages[0], passages[1]);
}
