//! The model file system: what there is, and what is open. It knows no errors but those that a real one would give, too.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// Descriptors of the model have numbers from this one on, which no real one has.
pub(super) const FIRST_DESCRIPTOR: i32 = 1 << 24;
/// The number of its mount, and of its device.
pub(super) const MOUNT: u64 = 1 << 40;
pub(super) const DEVICE_MINOR: u32 = 77;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Regular,
    Directory,
    /// A FIFO: what is read is taken from the front.
    Pipe,
    /// An eventfd.
    Event,
}

/// What a file has: borrowed until it is changed, because most files are only read.
pub(super) type Content = Cow<'static, [u8]>;

/// Writes bytes at a place; what is missing before them is zeros.
pub(super) fn overwrite(content: &mut Content, at: usize, bytes: &[u8]) {
    let content = content.to_mut();
    if content.len() < at {
        content.resize(at, 0);
    }
    let inside = bytes.len().min(content.len() - at);
    content[at..at + inside].copy_from_slice(&bytes[..inside]);
    content.extend_from_slice(&bytes[inside..]);
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) content: Content,
    pub(super) links: u32,
    pub(super) open: u32,
    /// Of an eventfd.
    pub(super) counter: u64,
    /// A pipe has its other end.
    pub(super) connected: bool,
    /// How often it has been changed.
    pub(super) changes: i64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) node: usize,
    pub(super) flags: i32,
    pub(super) position: u64,
    /// It was opened before this process was forked.
    pub(super) of_parent: bool,
}

#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) nodes: Vec<Node>,
    pub(super) names: BTreeMap<Vec<u8>, usize>,
    pub(super) open: Vec<Option<Open>>,
}

type Result<T> = std::result::Result<T, i32>;

impl Files {
    pub(super) fn add(&mut self, name: Option<&[u8]>, kind: Kind, content: impl Into<Content>) -> usize {
        let (links, content) = (u32::from(name.is_some()), content.into());
        self.nodes.push(Node { kind, content, links, open: 0, counter: 0, connected: true, changes: 1 });
        let node = self.nodes.len() - 1;
        if let Some(name) = name {
            self.names.insert(name.to_vec(), node);
        }
        node
    }

    /// Takes the lowest free number.
    pub(super) fn descriptor(&mut self, node: usize, flags: i32, most: usize) -> Result<i32> {
        let free = self.open.iter().position(Option::is_none).unwrap_or(self.open.len());
        if free >= most {
            return Err(libc::EMFILE);
        }
        if free == self.open.len() {
            self.open.push(None);
        }
        self.nodes[node].open += 1;
        self.open[free] = Some(Open { node, flags, position: 0, of_parent: false });
        Ok(FIRST_DESCRIPTOR + free as i32)
    }

    pub(super) fn get(&mut self, descriptor: i32) -> Result<&mut Open> {
        let index = usize::try_from(descriptor - FIRST_DESCRIPTOR).map_err(|_| libc::EBADF)?;
        self.open.get_mut(index).and_then(Option::as_mut).ok_or(libc::EBADF)
    }

    pub(super) fn node_of(&mut self, descriptor: i32) -> Result<usize> {
        Ok(self.get(descriptor)?.node)
    }

    pub(super) fn close(&mut self, descriptor: i32) -> Result<usize> {
        let node = self.node_of(descriptor)?;
        self.open[(descriptor - FIRST_DESCRIPTOR) as usize] = None;
        self.nodes[node].open -= 1;
        Ok(node)
    }

    /// Whoever has the other ends of FIFOs closes them; whether there was anybody.
    pub(super) fn disconnect(&mut self) -> bool {
        let mut found = false;
        for node in self.nodes.iter_mut().filter(|node| node.kind == Kind::Pipe) {
            found |= std::mem::replace(&mut node.connected, false);
        }
        found
    }

    /// All that is open belongs to the parent from here on.
    pub(super) fn fork(&mut self) {
        self.open.iter_mut().flatten().for_each(|open| open.of_parent = true);
    }

    /// The descriptors that this process has opened and not closed.
    pub(super) fn left_open(&self) -> Vec<i32> {
        let open = self.open.iter().zip(FIRST_DESCRIPTOR..);
        open.filter(|(open, _)| open.is_some_and(|open| !open.of_parent))
            .map(|(_, descriptor)| descriptor)
            .collect()
    }

    /// The bytes on the device.
    pub(super) fn used(&self) -> usize {
        self.nodes.iter().filter(|node| node.links > 0 || node.open > 0).map(|node| node.content.len()).sum()
    }

    pub(super) fn find(&self, name: &[u8]) -> Result<usize> {
        self.names.get(name).copied().ok_or(libc::ENOENT)
    }

    /// The name of what is called so in an open directory.
    pub(super) fn name_in(&mut self, directory: i32, name: &[u8]) -> Result<Vec<u8>> {
        if directory == libc::AT_FDCWD || name.starts_with(b"/") {
            return Ok(name.to_vec());
        }
        let node = self.node_of(directory)?;
        if self.nodes[node].kind != Kind::Directory {
            return Err(libc::ENOTDIR);
        }
        let found = self.names.iter().find(|(_, other)| **other == node);
        let above = found.map(|(name, _)| name.clone()).ok_or(libc::ENOENT)?;
        if name == b".." {
            let end = above.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            return Ok(above[..end].to_vec());
        }
        Ok([&above, &b"/"[..], name].concat())
    }

    /// What is in a directory, behind a place in it: where that ends, the type, and the name.
    pub(super) fn entries(&self, directory: usize, behind: u64) -> Vec<(usize, Kind, Vec<u8>)> {
        let Some((above, _)) = self.names.iter().find(|(_, node)| **node == directory) else {
            return Vec::new();
        };
        let below = self.names.iter().filter_map(|(name, node)| {
            let name = name.strip_prefix(above.as_slice())?.strip_prefix(b"/")?;
            let is_entry = !name.contains(&b'/') && *node as u64 >= behind;
            is_entry.then(|| (*node, self.nodes[*node].kind, name.to_vec()))
        });
        let mut found: Vec<_> = below.collect();
        // A place is the number of a node, and those are never given twice.
        found.sort_unstable_by_key(|entry| entry.0);
        found
    }

    pub(super) fn open(&mut self, name: &[u8], flags: i32, most: usize) -> Result<i32> {
        let node = match self.find(name) {
            Ok(_) if flags & libc::O_EXCL != 0 && flags & libc::O_CREAT != 0 => return Err(libc::EEXIST),
            Ok(node) if flags & libc::O_DIRECTORY != 0 && self.nodes[node].kind != Kind::Directory => {
                return Err(libc::ENOTDIR);
            }
            Ok(node) => node,
            Err(_) if flags & libc::O_CREAT != 0 => {
                self.check_parent(name)?;
                self.add(Some(name), Kind::Regular, Vec::new())
            }
            Err(code) => return Err(code),
        };
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
        if self.nodes[node].kind == Kind::Directory && writes {
            return Err(libc::EISDIR);
        }
        let descriptor = self.descriptor(node, flags, most)?;
        if flags & libc::O_TRUNC != 0 && writes {
            self.nodes[node].content = Content::default();
            self.nodes[node].changes += 1;
        }
        Ok(descriptor)
    }

    fn check_parent(&self, name: &[u8]) -> Result<()> {
        let Some(slash) = name.iter().rposition(|byte| *byte == b'/').filter(|slash| *slash > 0) else {
            return Ok(());
        };
        let parent = self.find(&name[..slash])?;
        if self.nodes[parent].kind == Kind::Directory { Ok(()) } else { Err(libc::ENOTDIR) }
    }

    pub(super) fn make_directory(&mut self, name: &[u8]) -> Result<()> {
        if self.find(name).is_ok() {
            return Err(libc::EEXIST);
        }
        self.check_parent(name)?;
        self.add(Some(name), Kind::Directory, Vec::new());
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, name: &[u8]) -> Result<()> {
        let node = self.find(name)?;
        if self.nodes[node].kind != Kind::Directory {
            return Err(libc::ENOTDIR);
        }
        let mut below = name.to_vec();
        below.push(b'/');
        if self.names.keys().any(|other| other.starts_with(&below)) {
            return Err(libc::ENOTEMPTY);
        }
        self.names.remove(name);
        self.nodes[node].links -= 1;
        Ok(())
    }

    pub(super) fn unlink(&mut self, name: &[u8]) -> Result<()> {
        let node = self.find(name)?;
        if self.nodes[node].kind == Kind::Directory {
            return Err(libc::EISDIR);
        }
        self.names.remove(name);
        self.nodes[node].links -= 1;
        Ok(())
    }

    pub(super) fn rename(&mut self, name: &[u8], target: &[u8]) -> Result<()> {
        let node = self.find(name)?;
        self.check_parent(target)?;
        if name == target {
            return Ok(());
        }
        if self.nodes[node].kind == Kind::Directory {
            return Err(libc::EBUSY);
        }
        if let Ok(other) = self.find(target) {
            if self.nodes[other].kind == Kind::Directory {
                return Err(libc::EISDIR);
            }
            self.nodes[other].links -= 1;
        }
        self.names.remove(name);
        self.names.insert(target.to_vec(), node);
        Ok(())
    }
}
