//! The tier's directory: who uses it, what is set aside, whether the disk
//! under it works at all.
//!
//! ```text
//! <dir>/lock          held by the process that uses the tier
//! <dir>/store/        the engine's files and their journal
//! <dir>/aside-<time>/ a store that would not open, kept for a look
//! <dir>/probe         exists only while the disk is tried
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

const ASIDE: &str = "aside-";

#[derive(Debug, Clone)]
pub(crate) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.store().join("journal")
    }

    /// Creates the directory and claims it for this process.
    pub(crate) fn lock(&self) -> io::Result<File> {
        fs::create_dir_all(&self.root)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.root.join("lock"))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(
            |error| {
                io::Error::new(
                    io::ErrorKind::WouldBlock,
                    format!("the directory is in use by another process ({error})"),
                )
            },
        )?;
        Ok(file)
    }

    /// Writes, syncs, reads back and deletes a small file: whether the disk
    /// under the directory takes anything at all.
    pub(crate) fn probe(&self) -> io::Result<()> {
        fs::create_dir_all(&self.root)?;
        let path = self.root.join("probe");
        let written: Vec<u8> = (0..4096_u32).map(|index| (index % 251) as u8).collect();
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&path)?;
        file.write_all(&written)?;
        file.sync_all()?;
        drop(file);
        let mut read = Vec::new();
        File::open(&path)?.read_to_end(&mut read)?;
        fs::remove_file(&path)?;
        if read != written {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the disk returned other bytes",
            ));
        }
        Ok(())
    }

    /// Moves the store out of the way, named after `unix` time. The newest one
    /// is kept, older ones go.
    pub(crate) fn set_aside(&self, unix: Duration) -> io::Result<()> {
        let store = self.store();
        if !store.exists() {
            return Ok(());
        }
        for (path, _) in self.aside()? {
            fs::remove_dir_all(path)?;
        }
        fs::rename(store, self.root.join(format!("{ASIDE}{}", unix.as_secs())))
    }

    /// Deletes the store.
    pub(crate) fn wipe(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.store()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Deletes what was set aside longer than `keep` ago.
    pub(crate) fn tidy(&self, unix: Duration, keep: Duration) -> io::Result<()> {
        for (path, since) in self.aside()? {
            if unix.saturating_sub(since) >= keep {
                tracing::info!(path = %path.display(), "deleting a cache directory that was set aside");
                fs::remove_dir_all(path)?;
            }
        }
        Ok(())
    }

    /// What is set aside, and since when.
    fn aside(&self) -> io::Result<Vec<(PathBuf, Duration)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let since = name
                .to_str()
                .and_then(|name| name.strip_prefix(ASIDE))
                .and_then(|seconds| seconds.parse().ok());
            if let Some(seconds) = since {
                found.push((entry.path(), Duration::from_secs(seconds)));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_store_is_kept_aside_and_for_a_while_only() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::new(root.path());
        for time in [100, 200] {
            fs::create_dir_all(directory.store()).unwrap();
            directory.set_aside(Duration::from_secs(time)).unwrap();
        }
        assert!(!root.path().join("aside-100").exists());
        assert!(root.path().join("aside-200").exists());
        directory
            .tidy(Duration::from_secs(250), Duration::from_secs(100))
            .unwrap();
        assert!(root.path().join("aside-200").exists());
        directory
            .tidy(Duration::from_secs(300), Duration::from_secs(100))
            .unwrap();
        assert!(!root.path().join("aside-200").exists());
    }

    #[test]
    fn a_directory_is_claimed_once() {
        let root = tempfile::tempdir().unwrap();
        let directory = Directory::new(root.path());
        let claimed = directory.lock().unwrap();
        assert!(directory.lock().is_err());
        drop(claimed);
        directory.lock().unwrap();
    }

    #[test]
    fn a_disk_that_takes_nothing_fails_the_probe() {
        let root = tempfile::tempdir().unwrap();
        Directory::new(root.path()).probe().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "in the way").unwrap();
        assert!(Directory::new(&file).probe().is_err());
    }
}
