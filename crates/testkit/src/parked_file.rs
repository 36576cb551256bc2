//! Parked sessions with right checksums and wrong contents, by a second reading of their format.

use twox_hash::XxHash3_64;

/// Magic and version.
const HEAD: usize = 12;
/// Tag, bytes of a number, and how many numbers there are.
const SECTION_HEAD: usize = 13;
const CHECKSUM: usize = 8;
const PIECE: u64 = 1 << 17;

/// Makes every checksum of a changed file right again, as far as the file can be followed.
pub fn reseal(file: &mut [u8]) {
    let mut at = HEAD;
    while let Some(end) = section_end(file, at) {
        let sum = XxHash3_64::oneshot(&file[..end]);
        file[end..end + CHECKSUM].copy_from_slice(&sum.to_le_bytes());
        at = end + CHECKSUM;
    }
}

/// Where each section begins.
pub fn sections(file: &[u8]) -> Vec<usize> {
    let next = |&at: &usize| section_end(file, at).map(|end| end + CHECKSUM).filter(|&next| next < file.len());
    std::iter::successors(Some(HEAD), next).collect()
}

/// Where the checksum of the section at `at` lies, if there is room for one.
fn section_end(file: &[u8], at: usize) -> Option<usize> {
    let head = file.get(at..at + SECTION_HEAD)?;
    let mut left = u64::from_le_bytes(head[5..].try_into().ok()?);
    let mut at = at + SECTION_HEAD;
    while left > 0 {
        for _ in 0..head[4].max(1) {
            let length = u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?);
            at += 4 + length as usize;
        }
        left = left.saturating_sub(PIECE);
    }
    (at + CHECKSUM <= file.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    #[test]
    fn a_hand_made_file_is_sealed() {
        let mut file = b"FKVPARK\n\x01\0\0\0".to_vec();
        for numbers in [&[1u8, 2, 3][..], &[]] {
            file.extend_from_slice(b"some\x01");
            file.extend_from_slice(&(numbers.len() as u64).to_le_bytes());
            if !numbers.is_empty() {
                file.extend_from_slice(&(numbers.len() as u32).to_le_bytes());
                file.extend_from_slice(numbers);
            }
            file.extend_from_slice(&[0; 8]);
        }
        assert_eq!(sections(&file), [12, 12 + 13 + 7 + 8]);
        reseal(&mut file);
        let mut hash = XxHash3_64::with_seed(0);
        hash.write(&file[..32]);
        assert_eq!(file[32..40], hash.finish().to_le_bytes());
        let length = file.len();
        hash.write(&file[32..length - 8]);
        assert_eq!(file[length - 8..], hash.finish().to_le_bytes());
    }
}
