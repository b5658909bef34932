//! What would be on the disk if the power went now, and what is only in the cache.

use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const SECTOR: usize = 512;

/// What a cut leaves of that which was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Lost,
    /// All of it.
    Kept,
    /// Some sectors and some names, by this seed.
    Torn(u64),
}

/// Number of a file, whatever it is called and whether it still has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inode(usize);

#[derive(Default)]
pub(crate) struct Platter {
    files: Vec<File>,
    /// The names as programs see them.
    now: BTreeMap<PathBuf, Inode>,
    /// The names that are on the disk.
    durable: BTreeMap<PathBuf, Inode>,
}

struct File {
    /// What is on the disk.
    durable: Vec<u8>,
    /// What was done since, in order.
    pending: Vec<Change>,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl Platter {
    /// A file that is about to be opened; None if there is none of that name yet.
    pub fn find(&mut self, path: &Path) -> Option<Inode> {
        if let Some(inode) = self.now.get(path) {
            return Some(*inode);
        }
        let durable = fs::read(path).ok()?;
        let inode = self.add(durable);
        self.now.insert(path.to_owned(), inode);
        self.durable.insert(path.to_owned(), inode);
        Some(inode)
    }

    pub fn create(&mut self, path: &Path) -> Inode {
        let inode = self.add(Vec::new());
        self.now.insert(path.to_owned(), inode);
        inode
    }

    fn add(&mut self, durable: Vec<u8>) -> Inode {
        self.files.push(File { durable, pending: Vec::new() });
        Inode(self.files.len() - 1)
    }

    pub fn delete(&mut self, path: &Path) {
        // One that was never opened: what it holds is on the disk.
        self.find(path);
        self.now.remove(path);
    }

    pub fn write(&mut self, file: Inode, at: usize, bytes: &[u8]) {
        self.files[file.0].pending.push(Change::Write { at, bytes: bytes.to_owned() });
    }

    pub fn truncate(&mut self, file: Inode, size: usize) {
        self.files[file.0].pending.push(Change::Truncate(size));
    }

    pub fn sync(&mut self, file: Inode) {
        let file = &mut self.files[file.0];
        for change in std::mem::take(&mut file.pending) {
            change.apply(&mut file.durable);
        }
    }

    /// A sync that fails: what it should have written is taken for written from now on, and is not.
    pub fn forget(&mut self, file: Inode) {
        self.files[file.0].pending.clear();
    }

    pub fn sync_folder(&mut self, of: &Path) {
        let Some(folder) = of.parent() else { return };
        self.durable.retain(|p, _| p.parent() != Some(folder));
        self.durable.extend(self.now.iter().filter(|(p, _)| p.parent() == Some(folder)).map(|(p, i)| (p.clone(), *i)));
    }

    /// Makes the real files hold what the disk holds.
    pub fn settle(self, fate: Fate) {
        let mut random = Random::new(if let Fate::Torn(seed) = fate { seed } else { 0 });
        let names: BTreeSet<&PathBuf> = self.now.keys().chain(self.durable.keys()).collect();
        for path in names {
            let kept = match fate {
                Fate::Lost => false,
                Fate::Kept => true,
                Fate::Torn(_) => random.coin(),
            };
            let names = if kept { &self.now } else { &self.durable };
            match names.get(path) {
                Some(inode) => {
                    let content = self.files[inode.0].after(fate, &mut random);
                    fs::write(path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                }
                None => drop(fs::remove_file(path)),
            }
        }
    }
}

impl File {
    fn after(&self, fate: Fate, random: &mut Random) -> Vec<u8> {
        let mut image = self.durable.clone();
        match fate {
            Fate::Lost => {}
            Fate::Kept => self.pending.iter().for_each(|c| c.apply(&mut image)),
            Fate::Torn(_) => self.pending.iter().for_each(|c| c.tear(&mut image, random)),
        }
        image
    }
}

fn put(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = at + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[at..end].copy_from_slice(bytes);
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes } => put(image, *at, bytes),
            Change::Truncate(size) => image.resize(*size, 0),
        }
    }

    fn tear(&self, image: &mut Vec<u8>, random: &mut Random) {
        match self {
            Change::Truncate(size) => {
                if random.coin() {
                    image.resize(*size, 0);
                }
            }
            Change::Write { at, bytes } => {
                let end = at + bytes.len();
                if image.len() < end && random.coin() {
                    // The file is longer already, and nobody has written there.
                    let zeros = random.coin();
                    while image.len() < end {
                        image.push(if zeros { 0 } else { random.next().to_le_bytes()[0] });
                    }
                }
                let mut from = 0;
                while from < bytes.len() {
                    let to = ((at + from) / SECTOR + 1) * SECTOR - at;
                    let piece = from..to.min(bytes.len());
                    let kept = match random.below(8) {
                        0..=3 => piece.clone(),
                        4..=5 => piece.start..piece.start,
                        6 => piece.start..piece.start + random.below(piece.len()),
                        _ => piece.start + random.below(piece.len())..piece.end,
                    };
                    put(image, at + kept.start, &bytes[kept]);
                    from = piece.end;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_loses_what_was_not_synced_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, [1; 2048]).unwrap();
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            fs::write(&path, [1; 2048]).unwrap();
            let mut platter = Platter::default();
            let file = platter.find(&path).unwrap();
            platter.write(file, 0, &[2; 700]);
            platter.sync(file);
            platter.write(file, 1000, &[3; 1500]);
            platter.settle(Fate::Torn(seed));
            let now = fs::read(&path).unwrap();
            assert!(now[..700].iter().all(|b| *b == 2) && now[700..1000].iter().all(|b| *b == 1), "seed {seed}");
            assert!(now[1000..2048].iter().all(|b| [1, 3].contains(b)), "seed {seed}");
            seen.insert(now[1000..2048].iter().map(|b| *b == 3).collect::<Vec<_>>());
        }
        assert!(seen.len() > 100, "the seeds all do the same: {}", seen.len());
        assert!(seen.iter().any(|s| s.iter().all(|kept| *kept)) || seen.iter().any(|s| s[..24] != s[24..48]));
    }

    #[test]
    fn what_a_failed_sync_was_for_is_lost_though_the_next_one_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, [1; 10]).unwrap();
        let mut platter = Platter::default();
        let file = platter.find(&path).unwrap();
        platter.write(file, 0, &[2; 5]);
        platter.forget(file);
        platter.write(file, 5, &[3; 5]);
        platter.sync(file);
        platter.settle(Fate::Kept);
        assert_eq!(fs::read(&path).unwrap(), [1, 1, 1, 1, 1, 3, 3, 3, 3, 3]);
    }

    #[test]
    fn a_name_is_durable_when_its_folder_was_synced() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        let make = |synced: bool, fate| {
            fs::write(&old, "old").unwrap();
            drop(fs::remove_file(&new));
            let mut platter = Platter::default();
            platter.delete(&old);
            fs::remove_file(&old).unwrap();
            let file = platter.create(&new);
            platter.write(file, 0, b"new");
            platter.sync(file);
            if synced {
                platter.sync_folder(&new);
            }
            platter.settle(fate);
            (fs::read(&old).ok(), fs::read(&new).ok())
        };
        assert_eq!(make(false, Fate::Lost), (Some(b"old".to_vec()), None));
        assert_eq!(make(false, Fate::Kept), (None, Some(b"new".to_vec())));
        assert_eq!(make(true, Fate::Lost), (None, Some(b"new".to_vec())));
    }
}
