//! From an entry to bytes and back, trusting nothing on the way back.

use std::{hash::Hasher, sync::Arc};

use bytes::{Bytes, BytesMut};

use super::seal::{Sealer, TAG_LEN};
use crate::{key::Fingerprint, options::MAX_TAGS};

const MAGIC: [u8; 4] = *b"MstC";
const FORMAT: u8 = 1;
const FIXED: usize = 128;
const NONCE_AT: usize = 116;
const CHECKSUM: usize = 8;

const COMPRESSED: u8 = 1;
const ENCRYPTED: u8 = 2;
const ABSENT: u8 = 4;

/// The largest value that is believed in; a length beyond it is damage.
pub(crate) const MAX_VALUE: usize = 512 << 20;

/// An entry outside of memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Envelope {
    /// The life of the store that it belongs to.
    pub(crate) generation: u64,
    /// The stamp at which its load began.
    pub(crate) version: u64,
    /// The place of its load in the order of the shared tier.
    pub(crate) position: u64,
    /// When it was loaded, in µs since the Unix epoch, as all times here.
    pub(crate) loaded_at: u64,
    pub(crate) fresh_until: u64,
    pub(crate) use_until: u64,
    /// The lengths of the two spans, which bound what a clock that was set
    /// back could make of the times.
    pub(crate) fresh_for: u64,
    pub(crate) use_for: u64,
    pub(crate) load_micros: u32,
    pub(crate) absent: bool,
    pub(crate) tags: Arc<[u64]>,
    pub(crate) value: Bytes,
}

/// Why bytes are no entry of ours. Each is a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Somebody else's bytes.
    Foreign,
    /// Ours, written by another version of the format.
    Version,
    /// Cut off, or of an impossible length.
    Length,
    /// The checksum is wrong.
    Checksum,
    /// The entry of another key.
    OtherKey,
    /// Not encrypted with our key, or tampered with.
    Sealed,
    /// Does not decompress to what it should.
    Compression,
}

impl Malformed {
    /// Whether bytes were damaged, rather than written by somebody else.
    pub(crate) fn is_damage(self) -> bool {
        matches!(
            self,
            Self::Length | Self::Checksum | Self::Sealed | Self::Compression
        )
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = twox_hash::XxHash64::with_seed(u64::from(FORMAT));
    hasher.write(bytes);
    hasher.finish()
}

/// The bytes of `entry`. Values of `compress_above` bytes or more are
/// compressed where it makes them smaller. `None` when the entry is too large
/// or the cryptography fails.
pub(crate) fn encode(
    entry: &Envelope,
    key: Fingerprint,
    sealer: Option<&Sealer>,
    compress_above: Option<usize>,
) -> Option<Bytes> {
    if entry.value.len() > MAX_VALUE {
        return None;
    }
    let mut flags = if entry.absent { ABSENT } else { 0 };
    let compressed = compress_above
        .filter(|least| entry.value.len() >= *least)
        .map(|_| lz4_flex::block::compress(&entry.value))
        .filter(|smaller| smaller.len() < entry.value.len());
    if compressed.is_some() {
        flags |= COMPRESSED;
    }
    if sealer.is_some() {
        flags |= ENCRYPTED;
    }
    let body: &[u8] = compressed.as_deref().unwrap_or(&entry.value);
    let stored = body.len() + if sealer.is_some() { TAG_LEN } else { 0 };
    let tags = &entry.tags[..entry.tags.len().min(MAX_TAGS)];

    let mut header = Vec::with_capacity(FIXED + tags.len() * 8 + stored + CHECKSUM);
    header.extend_from_slice(&MAGIC);
    header.push(FORMAT);
    header.push(flags);
    header.extend_from_slice(&u16::try_from(tags.len()).ok()?.to_le_bytes());
    for number in [
        entry.generation,
        entry.version,
        entry.position,
        entry.loaded_at,
        entry.fresh_until,
        entry.use_until,
        entry.fresh_for,
        entry.use_for,
    ] {
        header.extend_from_slice(&number.to_le_bytes());
    }
    header.extend_from_slice(&entry.load_micros.to_le_bytes());
    header.extend_from_slice(&u32::try_from(stored).ok()?.to_le_bytes());
    header.extend_from_slice(&u32::try_from(entry.value.len()).ok()?.to_le_bytes());
    header.extend_from_slice(&key.0);
    header.extend_from_slice(&[0; 12]);
    for tag in tags {
        header.extend_from_slice(&tag.to_le_bytes());
    }
    let mut bytes = header;
    match sealer {
        None => bytes.extend_from_slice(body),
        Some(sealer) => {
            let mut body = body.to_vec();
            let nonce = sealer.seal(&bytes, &mut body)?;
            bytes[NONCE_AT..FIXED].copy_from_slice(&nonce);
            bytes.extend_from_slice(&body);
        }
    }
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    Some(Bytes::from(bytes))
}

/// The entry of `key` in `bytes`. The value shares their memory unless it had
/// to be decrypted or decompressed.
pub(crate) fn decode(
    bytes: &Bytes,
    key: Fingerprint,
    sealer: Option<&Sealer>,
) -> Result<Envelope, Malformed> {
    let magic: [u8; 4] = bytes_at(bytes, 0).ok_or(Malformed::Length)?;
    if magic != MAGIC {
        return Err(Malformed::Foreign);
    }
    if bytes.get(4) != Some(&FORMAT) {
        return Err(Malformed::Version);
    }
    if bytes.len() < FIXED + CHECKSUM {
        return Err(Malformed::Length);
    }
    let (content, sum) = bytes.split_at(bytes.len() - CHECKSUM);
    if bytes_at(sum, 0).map(u64::from_le_bytes) != Some(checksum(content)) {
        return Err(Malformed::Checksum);
    }
    let header = Header::read(content).ok_or(Malformed::Length)?;
    let body_at = FIXED + header.tags * 8;
    if header.tags > MAX_TAGS
        || content.len() != body_at + header.stored
        || header.length > MAX_VALUE
    {
        return Err(Malformed::Length);
    }
    if header.key != key {
        return Err(Malformed::OtherKey);
    }
    let tags = content[FIXED..body_at]
        .chunks_exact(8)
        .filter_map(|tag| bytes_at(tag, 0).map(u64::from_le_bytes))
        .collect();
    let body = bytes.slice(body_at..content.len());
    let body = match (header.flags & ENCRYPTED != 0, sealer) {
        (false, None) => body,
        (true, Some(sealer)) => open(content, body_at, header.nonce, sealer)?,
        // Plain entries are not believed where encryption is asked for: they
        // would be a way round the authentication.
        _ => return Err(Malformed::Sealed),
    };
    let value = if header.flags & COMPRESSED == 0 {
        body
    } else {
        let plain = lz4_flex::block::decompress(&body, header.length)
            .map_err(|_| Malformed::Compression)?;
        Bytes::from(plain)
    };
    if value.len() != header.length {
        return Err(Malformed::Length);
    }
    Ok(Envelope {
        generation: header.numbers[0],
        version: header.numbers[1],
        position: header.numbers[2],
        loaded_at: header.numbers[3],
        fresh_until: header.numbers[4],
        use_until: header.numbers[5],
        fresh_for: header.numbers[6],
        use_for: header.numbers[7],
        load_micros: header.load_micros,
        absent: header.flags & ABSENT != 0,
        tags,
        value,
    })
}

fn open(
    content: &[u8],
    body_at: usize,
    nonce: [u8; 12],
    sealer: &Sealer,
) -> Result<Bytes, Malformed> {
    // The header was authenticated before the nonce was known.
    let mut header = content[..body_at].to_vec();
    header[NONCE_AT..FIXED].fill(0);
    let mut body = BytesMut::from(&content[body_at..]);
    let length = sealer
        .open(&header, nonce, &mut body)
        .ok_or(Malformed::Sealed)?;
    body.truncate(length);
    Ok(body.freeze())
}

struct Header {
    flags: u8,
    tags: usize,
    numbers: [u64; 8],
    load_micros: u32,
    stored: usize,
    length: usize,
    key: Fingerprint,
    nonce: [u8; 12],
}

impl Header {
    fn read(content: &[u8]) -> Option<Self> {
        let mut numbers = [0; 8];
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = u64::from_le_bytes(bytes_at(content, 8 + index * 8)?);
        }
        Some(Self {
            flags: *content.get(5)?,
            tags: usize::from(u16::from_le_bytes(bytes_at(content, 6)?)),
            numbers,
            load_micros: u32::from_le_bytes(bytes_at(content, 72)?),
            stored: usize::try_from(u32::from_le_bytes(bytes_at(content, 76)?)).ok()?,
            length: usize::try_from(u32::from_le_bytes(bytes_at(content, 80)?)).ok()?,
            key: Fingerprint(bytes_at(content, 84)?),
            nonce: bytes_at(content, NONCE_AT)?,
        })
    }
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncryptionKey, Key};

    fn entry(value: impl Into<Bytes>) -> Envelope {
        Envelope {
            generation: 11,
            version: 22,
            position: 33,
            loaded_at: 44,
            fresh_until: 55,
            use_until: 66,
            fresh_for: 77,
            use_for: 88,
            load_micros: 99,
            absent: false,
            tags: Arc::from([1, 2, 3]),
            value: value.into(),
        }
    }

    fn key() -> Fingerprint {
        Key::new("test", ["key"]).fingerprint()
    }

    fn sealer() -> Sealer {
        Sealer::new(&EncryptionKey::new([7; 32])).unwrap()
    }

    fn variants() -> Vec<(Option<Sealer>, Option<usize>)> {
        vec![
            (None, None),
            (None, Some(16)),
            (Some(sealer()), None),
            (Some(sealer()), Some(16)),
        ]
    }

    #[test]
    fn what_goes_in_comes_out() {
        for (sealer, compress) in variants() {
            for value in [
                Bytes::new(),
                Bytes::from("x"),
                Bytes::from("abc ".repeat(500)),
            ] {
                let original = entry(value);
                let bytes = encode(&original, key(), sealer.as_ref(), compress).unwrap();
                assert_eq!(decode(&bytes, key(), sealer.as_ref()), Ok(original));
            }
        }
    }

    #[test]
    fn absence_is_not_an_empty_value() {
        let absent = Envelope {
            absent: true,
            ..entry(Bytes::new())
        };
        let bytes = encode(&absent, key(), None, None).unwrap();
        assert!(decode(&bytes, key(), None).unwrap().absent);
        let empty = encode(&entry(Bytes::new()), key(), None, None).unwrap();
        assert!(!decode(&empty, key(), None).unwrap().absent);
    }

    #[test]
    fn no_flipped_bit_gets_through() {
        for (sealer, compress) in variants() {
            let bytes =
                encode(&entry("abc ".repeat(40)), key(), sealer.as_ref(), compress).unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.to_vec();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    decode(&Bytes::from(damaged), key(), sealer.as_ref()).is_err(),
                    "bit {bit} of {}",
                    bytes.len()
                );
            }
        }
    }

    #[test]
    fn no_truncation_gets_through() {
        for (sealer, compress) in variants() {
            let bytes =
                encode(&entry("abc ".repeat(40)), key(), sealer.as_ref(), compress).unwrap();
            for length in 0..bytes.len() {
                assert!(decode(&bytes.slice(..length), key(), sealer.as_ref()).is_err());
            }
            let mut longer = bytes.to_vec();
            longer.push(0);
            assert!(decode(&Bytes::from(longer), key(), sealer.as_ref()).is_err());
        }
    }

    /// A flip that comes with a right checksum is the work of somebody who
    /// knows the format; with encryption it is found all the same.
    #[test]
    fn forged_checksums_do_not_help_against_encryption() {
        let sealer = sealer();
        let bytes = encode(&entry("secret"), key(), Some(&sealer), None).unwrap();
        for byte in 5..bytes.len() - CHECKSUM {
            let mut forged = bytes[..bytes.len() - CHECKSUM].to_vec();
            forged[byte] ^= 1;
            let sum = checksum(&forged);
            forged.extend_from_slice(&sum.to_le_bytes());
            assert!(
                decode(&Bytes::from(forged), key(), Some(&sealer)).is_err(),
                "byte {byte}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let bytes = encode(&entry("value"), key(), None, None).unwrap();
        let change = |at: usize, to: u8| {
            let mut changed = bytes.to_vec();
            changed[at] = to;
            Bytes::from(changed)
        };
        assert_eq!(
            decode(&change(0, b'X'), key(), None),
            Err(Malformed::Foreign)
        );
        assert_eq!(decode(&change(4, 9), key(), None), Err(Malformed::Version));
        assert_eq!(
            decode(&change(130, 0xff), key(), None),
            Err(Malformed::Checksum)
        );
        let other = Key::new("test", ["other"]).fingerprint();
        assert_eq!(decode(&bytes, other, None), Err(Malformed::OtherKey));
        assert_eq!(
            decode(&Bytes::from_static(b"short"), key(), None),
            Err(Malformed::Foreign)
        );
    }

    #[test]
    fn plain_entries_are_not_believed_where_encryption_is_on() {
        let plain = encode(&entry("value"), key(), None, None).unwrap();
        assert_eq!(
            decode(&plain, key(), Some(&sealer())),
            Err(Malformed::Sealed)
        );
        let sealed = encode(&entry("value"), key(), Some(&sealer()), None).unwrap();
        assert_eq!(decode(&sealed, key(), None), Err(Malformed::Sealed));
        let other = Sealer::new(&EncryptionKey::new([8; 32])).unwrap();
        assert_eq!(decode(&sealed, key(), Some(&other)), Err(Malformed::Sealed));
        assert!(!sealed.windows(5).any(|window| window == b"value"));
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_harm() {
        let mut seed = 1_u64;
        for length in 0..600 {
            let mut bytes: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (seed >> 33) as u8
                })
                .collect();
            if length >= 13 {
                bytes[..4].copy_from_slice(&MAGIC);
                bytes[4] = FORMAT;
                let end = length - CHECKSUM;
                let sum = checksum(&bytes[..end]);
                bytes[end..].copy_from_slice(&sum.to_le_bytes());
            }
            assert!(decode(&Bytes::from(bytes), key(), None).is_err());
        }
    }
}
