//! `streaming`: the first tokens and the last.
//!
//! **Idea.** Attention rests on the first tokens whatever they are; with them and a window of the last, generation
//! stays fluent forever. What lies between is gone.
//! **Source.** StreamingLLM, *Efficient Streaming Language Models with Attention Sinks*, arXiv 2309.17453.
//! **Departures.** Keys keep the rotation of the place where they were written; the paper counts places inside the
//! cache, which matters beyond the model's context only. The prompt is read with exact attention, as all caches here
//! do. The window moves 64 tokens at a time.
//! **What it stores.** `sink` tokens and as many of the last as the budget leaves, in `bf16`.

/// The tokens kept of `held`: the first `sink`, and as many of the last as make `keep` together.
pub(super) fn kept(held: usize, keep: usize, sink: usize) -> Vec<usize> {
    let keep = keep.min(held);
    let sink = sink.min(keep);
    (0..sink).chain(held - (keep - sink)..held).collect()
}
