//! Turns the seeds (`seeds/TARGET/NAME.hex`, text) into a corpus (`corpus/TARGET/NAME`, bytes).
//!
//! `cargo run -p make_corpus`, in the folder `fuzz`.

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for target in fs::read_dir(folder.join("seeds"))? {
        let target = target?;
        let corpus = folder.join("corpus").join(target.file_name());
        fs::create_dir_all(&corpus)?;
        for seed in fs::read_dir(target.path())? {
            let seed = seed?.path();
            let name = seed.file_stem().ok_or("a seed without a name")?;
            fs::write(corpus.join(name), from_hex(&fs::read_to_string(&seed)?)?)?;
        }
    }
    Ok(())
}

/// The bytes of a text of hex digits; white space is passed over.
fn from_hex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digits: String = text.split_whitespace().collect();
    if digits.len() % 2 != 0 {
        return Err("half a byte".into());
    }
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|i| {
            Ok(u8::from_str_radix(
                digits.get(i..i + 2).ok_or("not hex")?,
                16,
            )?)
        })
        .collect()
}
