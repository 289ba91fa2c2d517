//! What is read however it arrives, and what is refused.

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn masked(first: u8, bytes: &[u8]) -> Vec<u8> {
    let mut raw = frame(0, bytes).to_vec();
    raw[0] = first;
    raw[1] |= 0x80;
    let at = raw.len() - bytes.len();
    unmask(&mut raw[at..], MASK);
    raw.splice(at..at, MASK);
    raw
}

/// Everything that these bytes say, fed in steps of `step`; bytes that belong together are joined.
fn read(bytes: &[u8], step: usize) -> Result<Vec<Piece>, Broken> {
    let mut decoder = Decoder::new(100, 1000);
    let mut pieces: Vec<Piece> = Vec::new();
    for bytes in bytes.chunks(step) {
        decoder.feed(bytes);
        while let Some(piece) = decoder.next()? {
            if let (Piece::Bytes(more), Some(Piece::Bytes(before))) = (&piece, pieces.last_mut()) {
                *before = [&before[..], &more[..]].concat().into();
            } else {
                pieces.push(piece);
            }
        }
    }
    Ok(pieces)
}

#[test]
fn a_message_reads_the_same_however_it_arrives_and_with_a_ping_between_its_frames() {
    let long: Vec<u8> = (0..600u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let wire = [
        masked(0x02, &long[..200]),
        masked(0x89, b"are you there"),
        masked(0x00, b""),
        masked(0x80, &long[200..]),
        masked(0x81, "é".as_bytes()),
        masked(0x8a, b""),
        masked(0x88, &[0x03, 0xe8, b'x']),
    ]
    .concat();
    let kind = Kind::Binary;
    let expected = vec![
        Piece::Head { kind, length: 200 },
        Piece::Bytes(long[..200].to_vec().into()),
        Piece::Ping(Bytes::from_static(b"are you there")),
        Piece::Head { kind, length: 200 },
        Piece::Head { kind, length: 600 },
        Piece::Bytes(long[200..].to_vec().into()),
        Piece::End,
        Piece::Head {
            kind: Kind::Text,
            length: 2,
        },
        Piece::Bytes("é".into()),
        Piece::End,
        Piece::Pong,
        Piece::Close(Some(1000)),
    ];

    for step in [1, 2, 3, 7, 64, 10_000] {
        assert_eq!(read(&wire, step).unwrap(), expected, "in steps of {step}");
    }
}

#[test]
fn what_is_against_the_rules_is_said_with_its_code() {
    let mut unmasked = masked(0x82, b"x");
    unmasked[1] &= 0x7f;
    for (code, wire) in [
        (1002, unmasked),
        (1002, masked(0xc2, b"x")),
        (1002, masked(0x83, b"x")),
        (1002, masked(0x8b, b"x")),
        (1002, masked(0x80, b"x")),
        (1002, [masked(0x02, b"x"), masked(0x82, b"x")].concat()),
        (1002, masked(0x09, b"x")),
        (1002, masked(0x89, &[0; 126])),
        (1002, masked(0x88, &[3])),
        (1002, masked(0x88, &[0x03, 0xed])),
        (1007, masked(0x88, &[0x03, 0xe8, 0xff])),
        (1002, vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        assert_eq!(read(&wire, 1).unwrap_err().code, code, "{wire:02x?}");
    }
}

#[test]
fn a_message_over_its_limit_is_known_by_its_head_alone() {
    let head = |first: u8, length: u16| {
        let length = length.to_be_bytes();
        vec![first, 0xfe, length[0], length[1], 1, 2, 3, 4]
    };
    let fragments = [masked(0x02, &[0; 900]), head(0x80, 101)].concat();

    assert_eq!(read(&head(0x82, 1001), 1), Err(Broken::TOO_LONG));
    assert_eq!(read(&head(0x81, 101), 1), Err(Broken::TOO_LONG));
    assert_eq!(read(&fragments, 64), Err(Broken::TOO_LONG));
    assert!(read(&head(0x82, 1000), 1).is_ok());
}

#[test]
fn frames_of_every_length_have_the_head_that_they_must_have() {
    assert_eq!(&text("hi")[..], [0x81, 2, b'h', b'i']);
    assert_eq!(text(&"x".repeat(126))[..4], [0x81, 126, 0, 126]);
    assert_eq!(
        text(&"x".repeat(70_000))[..10],
        [0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]
    );
    assert_eq!(&close(Some(1009), "no")[..], [0x88, 4, 0x03, 0xf1, b'n', b'o']);
    assert_eq!(&close(None, "")[..], [0x88, 0]);
}
