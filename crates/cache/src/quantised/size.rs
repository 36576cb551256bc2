//! How many bytes a prompt will take.

use super::Layer;
use super::coder::Coder;
use super::head::Head;
use super::settings::QuantisedSettings;
use crate::expected::PromptSize;
use crate::settings::SettingsError;
use crate::tokens::room_after;
use crate::{CacheBytes, CacheShape};

/// Numbers of the tail are `bf16`.
const TAIL_WIDTH: usize = 2;

/// What a cache with these settings holds once a prompt has been sealed.
///
/// # Errors
/// If the settings are out of range.
pub(crate) fn expected_bytes(
    settings: &QuantisedSettings,
    shape: &CacheShape,
    prompt: PromptSize,
) -> Result<CacheBytes, SettingsError> {
    settings.check()?;
    let coder = Coder::new(settings, shape);
    let heads = shape.layers * shape.kv_heads;
    let coded = settings.due(prompt.tokens);
    let tail_room = room_after(prompt.tokens, prompt.tile).min(prompt.tokens - coded + settings.spare());
    Ok(CacheBytes {
        tokens: shape.exact_bytes(tail_room, TAIL_WIDTH),
        codes: heads * coder.code_bytes(coded).iter().sum::<usize>(),
        bookkeeping: shape.layers * size_of::<Layer>() + heads * size_of::<Head>() + coder.bytes(),
        ..CacheBytes::default()
    })
}
