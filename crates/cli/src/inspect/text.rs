//! What was found, for people.

use std::fmt;

use super::facts::{ModelFacts, rope_text};
use super::sizes::{CacheSizes, Size};
use super::{PlanFacts, Report};
use crate::output::megabytes;
use crate::plan_shares::{PlanContent, PlanShares};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_model(f, &self.model)?;
        if let Some(plan) = &self.plan {
            write_plan(f, plan)?;
        }
        write_caches(f, &self.caches)
    }
}

fn write_model(f: &mut fmt::Formatter<'_>, facts: &ModelFacts) -> fmt::Result {
    let c = &facts.config;
    let name = if c.name.is_empty() { "(no name)" } else { &c.name };
    writeln!(f, "{name}\n  file        {}", facts.path.display())?;
    writeln!(f, "  family      {}, {:.1} million parameters", c.family.info().name, facts.parameters as f64 / 1e6)?;
    writeln!(f, "  layers      {}, width {}, feed-forward {}", c.layers, c.width, c.hidden)?;
    writeln!(f, "  heads       {} query, {} key/value, {} dims each", c.heads, c.kv_heads, c.head_dim)?;
    writeln!(f, "  context     {} tokens", c.context_length)?;
    writeln!(f, "  vocabulary  {} tokens", c.vocabulary)?;
    let output = if c.tied_output { "output tied to the embedding" } else { "output of its own" };
    writeln!(f, "  weights     {}, {output}", megabytes(facts.weights_bytes as u64))?;
    for part in &facts.weights {
        writeln!(f, "              {:<5} {:>4} tensors {:>10}", part.ty, part.tensors, megabytes(part.bytes as u64))?;
    }
    writeln!(f, "  rope        {}", rope_text(c))?;
    writeln!(f, "  template    {}", if facts.chat_template { "yes" } else { "none: use --raw" })?;
    writeln!(f, "  fingerprint {}", facts.fingerprint)
}

fn write_plan(f: &mut fmt::Formatter<'_>, plan: &PlanFacts) -> fmt::Result {
    let origin = &plan.origin;
    writeln!(f, "\nplan {}", plan.path.display())?;
    let band = plan.band.map_or_else(String::new, |band| format!(":band={band}"));
    writeln!(f, "  made for    {}, --cache {}{band}", plan.model, plan.cache)?;
    writeln!(
        f,
        "  made from   {} tokens in sequences: {}; harmonics {}, rank {}; text {:.12}...",
        origin.tokens, origin.sequences, origin.harmonics, origin.rank, origin.text_sha256
    )?;
    match &plan.content {
        PlanContent::Spectral(shares) => write_dims(f, shares),
        PlanContent::Bits(layers) => write_bits(f, layers),
    }
}

/// Bits of a number of keys and values, of each layer, at a mean of 2.
fn write_bits(f: &mut fmt::Formatter<'_>, layers: &[[f64; 2]]) -> fmt::Result {
    writeln!(f, "  layer  bits of keys  of values, at a mean of 2")?;
    for (layer, [keys, values]) in layers.iter().enumerate() {
        writeln!(f, "  {layer:>5} {keys:>13.2} {values:>10.2}")?;
    }
    Ok(())
}

fn write_dims(f: &mut fmt::Formatter<'_>, all: &PlanShares) -> fmt::Result {
    writeln!(f, "  spectral    {} of the key dims, {} of the value dims", percent(all.keys), percent(all.values))?;
    writeln!(f, "  layer   key dims          value dims")?;
    for l in &all.layers {
        let (keys, values) = (percent(l.keys), percent(l.values));
        writeln!(f, "  {:>5} {:>6}  {keys:>8}  {:>6}  {values:>8}", l.layer, l.key_dims, l.value_dims)?;
    }
    Ok(())
}

fn write_caches(f: &mut fmt::Formatter<'_>, caches: &[CacheSizes]) -> fmt::Result {
    writeln!(f, "\nbytes of the past, once a prompt has been read (and how many times smaller than exact bf16)")?;
    for cache in caches {
        writeln!(f, "\n  {}\n  {}", cache.kind, cache.description)?;
        for size in &cache.sizes {
            write_size(f, size)?;
        }
    }
    Ok(())
}

fn write_size(f: &mut fmt::Formatter<'_>, size: &Size) -> fmt::Result {
    let Size { tokens, bytes, ratio, .. } = *size;
    writeln!(f, "    {tokens:>9} tokens {:>12} {ratio:>7.2}x", megabytes(bytes as u64))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
