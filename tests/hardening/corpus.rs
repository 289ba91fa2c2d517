//! The fuzz targets without a fuzzer: each reads its corpus, and thousands of mutations of it that a seed decides.
//!
//! `MULETEER_TEST_SEED` sets the seed; a failure prints the one that it used.

use std::fs;
use std::path::Path;

use muleteer::fuzzing::TARGETS;

/// Mutations for each target.
const ROUNDS: usize = 4000;

/// xorshift64: all that is needed here is that the seed decides.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("small")
    }
}

/// What parsers stumble over.
const TROUBLE: [&[u8]; 16] = [
    b"\0",
    b"\r\n",
    b"\n",
    b"%00",
    b"%u",
    b"../",
    b"&",
    b"=",
    b"\"",
    b"\xff\xfe",
    b"99999999999999999999",
    b"-1",
    b"<![CDATA[",
    b"&#x0;",
    "\u{202e}".as_bytes(),
    b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
];

fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => {
                bytes.remove(at);
            }
            3 => {
                let trouble = TROUBLE[random.below(TROUBLE.len())];
                bytes.splice(at..at, trouble.iter().copied());
            }
            4 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied());
            }
            _ => {
                let end = (at + random.below(20)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

#[test]
fn no_parser_panics_or_breaks_its_promise_on_its_corpus_and_mutations_of_it() {
    let seed = std::env::var("MULETEER_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or(0x6d75_6c65_7465_6572);
    println!("MULETEER_TEST_SEED={seed}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, target) in TARGETS {
        let script = fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs")));
        assert!(
            script
                .expect("its fuzz target")
                .contains(&format!("run(\"{name}\""))
        );
        let mut files: Vec<_> = fs::read_dir(folder.join("corpus").join(name))
            .unwrap_or_else(|error| panic!("the corpus of {name}: {error}"))
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a file")).collect();
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for bytes in &corpus {
            target(bytes);
        }
        let mut random = Random(seed | 1);
        for round in 0..ROUNDS {
            let bytes = mutated(&corpus, &mut random);
            let outcome = std::panic::catch_unwind(|| target(&bytes));
            assert!(
                outcome.is_ok(),
                "{name}, round {round} of seed {seed}: {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

#[test]
fn the_corpus_of_what_is_signed_is_signed() {
    use muleteer::signing::Signable;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/asked_request");
    for name in ["part_v4", "begin_v4", "part_v2"] {
        let text = fs::read_to_string(folder.join(name)).expect("text");
        assert!(
            Signable::whole(&text).is_ok(),
            "a corpus that is refused at once tests little: {name}"
        );
    }
}
