//! What the disk may no longer serve, written beside it.
//!
//! The engine forgets deletions when the process ends. So every invalidation
//! is appended here before it is acknowledged, and a store is only believed
//! together with its journal: both carry the same generation, the journal was
//! closed cleanly or written since the machine started, and every record is
//! whole.

use std::{
    fs::{self, File, OpenOptions},
    hash::Hasher,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use crate::stamps::{Tables, Target};

const RECORD: usize = 32;
const FORMAT: u64 = 1;

/// Records after which the journal is written anew with what still counts.
const LONGEST: usize = 262_144;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Store = 1,
    Boot = 2,
    Key = 3,
    Tag = 4,
    Floor = 5,
    Position = 6,
    Clean = 7,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [
            Self::Store,
            Self::Boot,
            Self::Key,
            Self::Tag,
            Self::Floor,
            Self::Position,
            Self::Clean,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// A place in the shared order of invalidations: its generation and the count.
pub(crate) type StreamPosition = (u64, u64);

/// What a journal says about its store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
    pub(crate) tables: Tables,
    pub(crate) position: Option<StreamPosition>,
}

/// Whether a store can be believed.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It can, as far as the memory goes.
    Trusted(Memory),
    /// There is no journal.
    Missing,
    /// The machine went down without a clean end, so that the disk may hold
    /// less of the journal than of the store.
    Unclean,
    /// It is damaged or somebody else's.
    Damaged,
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    records: usize,
}

/// Reads the journal at `path`.
pub(crate) fn read(path: &Path, boot: u64) -> io::Result<Verdict> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Verdict::Missing),
        Err(error) => return Err(error),
    };
    Ok(judge(&bytes, boot))
}

fn judge(bytes: &[u8], boot: u64) -> Verdict {
    let mut memory = Memory::default();
    let (mut written_in, mut clean, mut records) = (None, false, 0);
    // A record cut short was never acknowledged.
    for (index, record) in bytes.chunks_exact(RECORD).enumerate() {
        let Some((kind, a, b)) = parse(record, index) else {
            return Verdict::Damaged;
        };
        clean = kind == Kind::Clean;
        records += 1;
        match (index, kind) {
            (0, Kind::Store) => (memory.generation, memory.epoch) = (a, b),
            (1, Kind::Boot) if b == FORMAT => written_in = Some(a),
            (0 | 1, _) | (_, Kind::Store | Kind::Boot) => return Verdict::Damaged,
            (_, Kind::Key) => drop(memory.tables.keys.insert(a, b)),
            (_, Kind::Tag) => drop(memory.tables.tags.insert(a, b)),
            (_, Kind::Floor) => memory.tables.floor = a,
            (_, Kind::Position) => memory.position = Some((a, b)),
            (_, Kind::Clean) => {}
        }
    }
    match written_in {
        None if records == 0 && bytes.is_empty() => Verdict::Missing,
        None => Verdict::Damaged,
        Some(written_in) if clean || written_in == boot => Verdict::Trusted(memory),
        Some(_) => Verdict::Unclean,
    }
}

fn checksum(record: &[u8], index: usize) -> u64 {
    // The place is part of it, so that no record can be lost or doubled in the
    // middle.
    let mut hasher = twox_hash::XxHash64::with_seed(index as u64);
    hasher.write(record);
    hasher.finish()
}

fn parse(record: &[u8], index: usize) -> Option<(Kind, u64, u64)> {
    let (content, sum) = record.split_at(RECORD - 8);
    if u64::from_le_bytes(sum.try_into().ok()?) != checksum(content, index) {
        return None;
    }
    let number = |at: usize| {
        Some(u64::from_le_bytes(
            content.get(at..at + 8)?.try_into().ok()?,
        ))
    };
    Some((Kind::of(content[0])?, number(8)?, number(16)?))
}

fn push(into: &mut Vec<u8>, index: usize, kind: Kind, a: u64, b: u64) {
    let mut record = [0; RECORD];
    record[0] = kind as u8;
    record[8..16].copy_from_slice(&a.to_le_bytes());
    record[16..24].copy_from_slice(&b.to_le_bytes());
    let sum = checksum(&record[..RECORD - 8], index);
    record[RECORD - 8..].copy_from_slice(&sum.to_le_bytes());
    into.extend_from_slice(&record);
}

impl Journal {
    /// Writes a new journal of `memory` in place of the one at `path`.
    pub(crate) fn create(path: &Path, memory: &Memory, boot: u64) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity((memory.tables.len() + 4) * RECORD);
        let mut records = 0;
        let mut add = |kind, a, b| {
            push(&mut bytes, records, kind, a, b);
            records += 1;
        };
        add(Kind::Store, memory.generation, memory.epoch);
        add(Kind::Boot, boot, FORMAT);
        add(Kind::Floor, memory.tables.floor, 0);
        for (key, stamp) in &memory.tables.keys {
            add(Kind::Key, *key, *stamp);
        }
        for (tag, stamp) in &memory.tables.tags {
            add(Kind::Tag, *tag, *stamp);
        }
        if let Some((generation, count)) = memory.position {
            add(Kind::Position, generation, count);
        }
        let new = path.with_extension("new");
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        if let Some(dir) = path.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            records,
        })
    }

    /// Appends invalidations. They are safe against the end of this process
    /// when it returns.
    pub(crate) fn invalidated(&mut self, what: &[(Target, u64)]) -> io::Result<()> {
        self.append(what.iter().map(|(target, stamp)| match *target {
            Target::Key(key) => (Kind::Key, key, *stamp),
            Target::Tag(tag) => (Kind::Tag, tag, *stamp),
            Target::All => (Kind::Floor, *stamp, 0),
        }))
    }

    /// Notes how far the shared stream was followed.
    pub(crate) fn followed(&mut self, (generation, count): StreamPosition) -> io::Result<()> {
        self.append([(Kind::Position, generation, count)])
    }

    fn append(&mut self, records: impl IntoIterator<Item = (Kind, u64, u64)>) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut index = self.records;
        for (kind, a, b) in records {
            push(&mut bytes, index, kind, a, b);
            index += 1;
        }
        self.file.write_all(&bytes)?;
        self.records = index;
        Ok(())
    }

    /// Whether it has grown so long that it should be created anew.
    pub(crate) fn is_long(&self) -> bool {
        self.records > LONGEST
    }

    /// Ends it: store and journal are on the disk, whatever happens to the
    /// machine.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.append([(Kind::Clean, 0, 0)])?;
        self.file.sync_all()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// A number of this start of the machine; 0 where nobody tells.
pub(crate) fn boot_id() -> u64 {
    let text = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut hasher = twox_hash::XxHash64::with_seed(0);
    hasher.write(&text);
    if text.is_empty() { 0 } else { hasher.finish() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let mut memory = Memory {
            generation: 77,
            epoch: 3,
            position: Some((5, 6)),
            ..Memory::default()
        };
        memory.tables.keys.insert(1, 10);
        memory.tables.tags.insert(2, 20);
        memory.tables.floor = 5;
        memory
    }

    fn trusted(path: &Path, boot: u64) -> Memory {
        match read(path, boot).unwrap() {
            Verdict::Trusted(memory) => memory,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_appended_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::create(&path, &memory(), 1).unwrap();
        journal
            .invalidated(&[
                (Target::Key(8), 80),
                (Target::Tag(9), 90),
                (Target::Key(1), 11),
            ])
            .unwrap();
        journal.followed((7, 8)).unwrap();
        let read = trusted(&path, 1);
        assert_eq!((read.generation, read.epoch), (77, 3));
        assert_eq!(read.tables.keys.get(&8), Some(&80));
        assert_eq!(read.tables.keys.get(&1), Some(&11));
        assert_eq!(read.tables.tags.get(&9), Some(&90));
        assert_eq!(read.tables.floor, 5);
        assert_eq!(read.position, Some((7, 8)));
    }

    #[test]
    fn after_a_restart_of_the_machine_only_a_clean_end_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::create(&path, &memory(), 1).unwrap();
        assert!(matches!(read(&path, 2).unwrap(), Verdict::Unclean));
        journal.close().unwrap();
        trusted(&path, 2);
        journal.invalidated(&[(Target::Key(8), 80)]).unwrap();
        assert!(matches!(read(&path, 2).unwrap(), Verdict::Unclean));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        Journal::create(&path, &memory(), 1).unwrap();
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(judge(&damaged, 1), Verdict::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn a_record_cut_short_is_as_if_never_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::create(&path, &memory(), 1).unwrap();
        let before = fs::read(&path).unwrap().len();
        journal.invalidated(&[(Target::Key(8), 80)]).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in before..whole.len() {
            match judge(&whole[..length], 1) {
                Verdict::Trusted(memory) => assert!(!memory.tables.keys.contains_key(&8)),
                other => panic!("{length}: {other:?}"),
            }
        }
        for length in 1..2 * RECORD {
            assert!(
                matches!(judge(&whole[..length], 1), Verdict::Damaged),
                "{length}"
            );
        }
    }
}
