//! The operations on paths, as plain data.

use std::ffi::OsString;
use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::kind::Kind;
use crate::error::Error;
use crate::handle::Adoption;
use crate::outcome::Outcome;
use crate::platform::NativePath;
use crate::text::{Codec, Newline, TextSource};
use crate::verbs::access::AccessMode;
use crate::verbs::atomic::{AtomicOptions, StagedFile};
use crate::verbs::link::TargetKind;
use crate::verbs::metadata::{FileType, MountRules, Timestamp};
use crate::verbs::ownership::Account;
use crate::verbs::read::Content;
use crate::verbs::resolve::Strictness;
use crate::verbs::transaction::{self, Staging, StagingResult, Transaction, TransactionOptions};
use crate::verbs::write::Data;
use crate::verbs::xattr::AttributeName;
use crate::verbs::{
    access, atomic, directory, entry, home, link, metadata, ownership, read, rename, resolve, synchronise,
    write, xattr,
};
use crate::{cached, handle};

/// One operation, with everything that a worker needs to run it.
#[derive(Debug)]
#[allow(
    missing_docs,
    reason = "each variant is documented, and its fields are the parameters of the method it serves"
)]
pub enum PathOperation {
    /// The whole content of a file.
    Read { path: NativePath },
    /// The whole content of a file, decoded.
    ReadText { path: NativePath, codec: Codec, newline: Newline },
    /// Open a file as `io.open` does. `flags` are the platform's own.
    Open { path: NativePath, flags: i32, permissions: u32 },
    /// Adopt a descriptor that is already open.
    Adopt(Adoption),
    /// Replace or extend a file's content. `bom`: leading bytes that are omitted when extending a file that is not
    /// empty.
    Write { path: NativePath, data: Data, append: bool, bom: usize },
    /// Replace or extend a file's content with encoded text.
    WriteText { path: NativePath, text: TextSource, codec: Codec, newline: Newline, append: bool },
    /// Extend a file's content, and synchronise it. `bom`: as above.
    AppendDurably { path: NativePath, data: Data, bom: usize },
    /// Extend a file's content with encoded text, and synchronise it.
    AppendTextDurably { path: NativePath, text: TextSource, codec: Codec, newline: Newline },
    /// Replace a file's content atomically.
    WriteAtomically { path: NativePath, data: Data, options: AtomicOptions },
    /// Replace a file's content with encoded text atomically.
    WriteTextAtomically {
        path: NativePath,
        text: TextSource,
        codec: Codec,
        newline: Newline,
        options: AtomicOptions,
    },
    /// Open a file that is to replace another one, or to be a new one.
    OpenAtomically { path: NativePath, options: AtomicOptions },
    /// Give such a file its name.
    Commit { file: StagedFile },
    /// Discard such a file.
    Discard { file: StagedFile },
    /// `stat(2)` or `lstat(2)`.
    Stat { path: NativePath, follow: bool },
    /// Whether there is an entry of this type. `tolerant`: every error means no.
    IsType { path: NativePath, file_type: FileType, follow: bool, tolerant: bool },
    /// Whether the path is where a file system is mounted.
    IsMount { path: NativePath, rules: MountRules },
    /// Whether the path is a Windows junction.
    IsJunction { path: NativePath },
    /// Whether two paths lead to the same file.
    SameFile { path: NativePath, other: NativePath },
    /// The name of the user that a file belongs to.
    Owner { path: NativePath, follow: bool },
    /// The name of the group that a file belongs to.
    Group { path: NativePath, follow: bool },
    /// Whether a file may be accessed in this mode, as `access(2)`.
    Access { path: NativePath, mode: AccessMode, effective_ids: bool, follow: bool },
    /// `statvfs(3)`.
    StatVfs { path: NativePath },
    /// Change the mode.
    ChangeMode { path: NativePath, mode: u32, follow: bool },
    /// Change the owner and the group.
    ChangeOwner { path: NativePath, user: Account, group: Account, follow: bool },
    /// Set the access and modification time; `None` for now.
    SetTimes { path: NativePath, times: Option<(Timestamp, Timestamp)>, follow: bool },
    /// Cut or extend a file to a length.
    Truncate { path: NativePath, length: i64 },
    /// The value of an extended attribute.
    GetAttribute { path: NativePath, name: AttributeName, follow: bool },
    /// Set an extended attribute.
    SetAttribute { path: NativePath, name: AttributeName, value: Data, flags: i32, follow: bool },
    /// The names of the extended attributes.
    ListAttributes { path: NativePath, follow: bool },
    /// Remove an extended attribute.
    RemoveAttribute { path: NativePath, name: AttributeName, follow: bool },
    /// Create a file, or set the times of one that exists to now.
    Touch { path: NativePath, mode: u32, exist_ok: bool },
    /// Create a directory.
    MakeDirectory {
        path: NativePath,
        mode: u32,
        parents: bool,
        exist_ok: bool,
        parent_mode: Option<u32>,
        tolerant: bool,
    },
    /// Remove an empty directory.
    RemoveDirectory { path: NativePath },
    /// Remove a file or a link.
    Unlink { path: NativePath, missing_ok: bool },
    /// Rename. `replace`: over an existing file on every platform.
    Rename { path: NativePath, target: NativePath, replace: bool },
    /// The same, and synchronise.
    RenameDurably { path: NativePath, target: NativePath, replace: bool },
    /// Exchange two entries.
    Exchange { path: NativePath, other: NativePath, durable: bool },
    /// Wait until the device has a file, or the entries of a directory.
    Synchronise { path: NativePath },
    /// Create a symbolic link at `path`.
    Symlink { target: NativePath, path: NativePath, kind: TargetKind },
    /// Create a hard link at `path`.
    Link { target: NativePath, path: NativePath, follow: bool },
    /// Where a symbolic link leads.
    ReadLink { path: NativePath },
    /// The path without symbolic links.
    Resolve { path: NativePath, strictness: Strictness, rules: u32 },
    /// The home directory of a user; `None` for the one who runs this process.
    Home { user: Option<OsString> },
    /// Begin a transaction in a directory.
    BeginTransaction { path: NativePath, options: TransactionOptions },
    /// Stage a change.
    Stage { transaction: Arc<Transaction>, staging: Staging },
    /// Make all changes of a transaction.
    CommitTransaction { transaction: Arc<Transaction> },
    /// Drop all changes of a transaction.
    UndoTransaction { transaction: Arc<Transaction> },
    /// Finish or undo the transactions of a directory that a crash has interrupted.
    Recover { path: NativePath },
    /// Whether and how tier 0 works on the file system of a path.
    Inspect { path: NativePath },
    /// Panic: for tests of how a bug of this library is reported.
    Panic,
}

impl PathOperation {
    /// Runs in a worker; may take as long as the file system does.
    ///
    /// The verbs have results of their own types, which become outcomes here.
    pub(crate) fn run(self, engine: &Engine) -> Result<Outcome, Error> {
        let done = |()| Outcome::Done;
        let opened = |file| Outcome::Opened(Box::new(file));
        let encoded = |characters: Option<u64>| characters.map_or(Outcome::Unencodable, Outcome::Count);
        match self {
            Self::Read { path } => read::read(engine, &path).map(|content| match content {
                Content::Whole(bytes) => Outcome::Bytes(bytes),
                Content::Large(file) => Outcome::Large(file),
            }),
            Self::ReadText { path, codec, newline } => read::read_text(&path, codec, newline)
                .map(|decoded| decoded.map_or_else(Outcome::Undecodable, Outcome::Text)),
            Self::Open { path, flags, permissions } => {
                handle::open(engine, &path, flags, permissions).map(opened)
            }
            Self::Adopt(adoption) => adoption.run().map(opened),
            Self::Write { path, data, append, bom } => {
                write::write(&path, &data, append, bom).map(Outcome::Count)
            }
            Self::WriteText { path, text, codec, newline, append } => {
                write::write_text(&path, &text, codec, newline, append).map(encoded)
            }
            Self::AppendDurably { path, data, bom } => {
                write::append_durably(&path, &data, bom).map(Outcome::Count)
            }
            Self::AppendTextDurably { path, text, codec, newline } => {
                write::append_text_durably(&path, &text, codec, newline).map(encoded)
            }
            Self::WriteAtomically { path, data, options } => {
                atomic::write(&path, &data, options).map(Outcome::Count)
            }
            Self::WriteTextAtomically { path, text, codec, newline, options } => {
                atomic::write_text(&path, &text, codec, newline, options).map(encoded)
            }
            Self::OpenAtomically { path, options } => {
                atomic::open(engine, &path, options).map(|both| Outcome::Staged(Box::new(both)))
            }
            Self::Commit { file } => atomic::commit(file).map(done),
            Self::Discard { file } => {
                drop(file);
                Ok(Outcome::Done)
            }
            Self::Stat { path, follow } => {
                metadata::stat(&path, follow).map(|found| Outcome::Metadata(Box::new(found)))
            }
            Self::IsType { path, file_type, follow, tolerant } => {
                metadata::is_type(&path, file_type, follow, tolerant).map(Outcome::Flag)
            }
            Self::IsMount { path, rules } => metadata::is_mount(&path, rules).map(Outcome::Flag),
            Self::IsJunction { path } => Ok(Outcome::Flag(metadata::is_junction(&path))),
            Self::SameFile { path, other } => metadata::same_file(&path, &other).map(Outcome::Flag),
            Self::Owner { path, follow } => ownership::owner(&path, follow).map(Outcome::Path),
            Self::Group { path, follow } => ownership::group(&path, follow).map(Outcome::Path),
            Self::Access { path, mode, effective_ids, follow } => {
                Ok(Outcome::Flag(access::access(&path, mode, effective_ids, follow)))
            }
            Self::StatVfs { path } => metadata::statvfs(&path).map(|found| Outcome::StatVfs(Box::new(found))),
            Self::ChangeMode { path, mode, follow } => access::change_mode(&path, mode, follow).map(done),
            Self::ChangeOwner { path, user, group, follow } => {
                ownership::change_owner(&path, user, group, follow).map(done)
            }
            Self::SetTimes { path, times, follow } => entry::set_times(&path, times, follow).map(done),
            Self::Truncate { path, length } => write::truncate(&path, length).map(done),
            Self::GetAttribute { path, name, follow } => xattr::get(&path, &name, follow).map(Outcome::Bytes),
            Self::SetAttribute { path, name, value, flags, follow } => {
                xattr::set(&path, &name, &value, flags, follow).map(done)
            }
            Self::ListAttributes { path, follow } => xattr::list(&path, follow).map(Outcome::Names),
            Self::RemoveAttribute { path, name, follow } => xattr::remove(&path, &name, follow).map(done),
            Self::Touch { path, mode, exist_ok } => entry::touch(&path, mode, exist_ok).map(done),
            Self::MakeDirectory { path, mode, parents, exist_ok, parent_mode, tolerant } => {
                let request = directory::MakeDirectory { mode, parents, exist_ok, parent_mode, tolerant };
                directory::make(&path, request).map(done)
            }
            Self::RemoveDirectory { path } => directory::remove(&path).map(done),
            Self::Unlink { path, missing_ok } => entry::unlink(&path, missing_ok).map(done),
            Self::Rename { path, target, replace } => rename::rename(&path, &target, replace).map(done),
            Self::RenameDurably { path, target, replace } => {
                rename::rename_durably(&path, &target, replace).map(done)
            }
            Self::Exchange { path, other, durable } => rename::exchange(&path, &other, durable).map(done),
            Self::Synchronise { path } => synchronise::synchronise(&path).map(done),
            Self::Symlink { target, path, kind } => link::symlink(&target, &path, kind).map(done),
            Self::Link { target, path, follow } => link::link(&target, &path, follow).map(done),
            Self::ReadLink { path } => link::read(&path).map(Outcome::Path),
            Self::Resolve { path, strictness, rules } => {
                resolve::resolve(&path, strictness, rules).map(Outcome::Path)
            }
            Self::Home { user } => Ok(Outcome::MaybePath(home::home(user))),
            Self::BeginTransaction { path, options } => {
                Transaction::begin(engine, &path, options).map(Outcome::Transaction)
            }
            Self::Stage { transaction, staging } => transaction.stage(&staging).map(|result| match result {
                StagingResult::Done => Outcome::Done,
                StagingResult::Count(count) => Outcome::Count(count),
                StagingResult::Unencodable => Outcome::Unencodable,
            }),
            Self::CommitTransaction { transaction } => transaction.commit().map(done),
            Self::UndoTransaction { transaction } => transaction.undo().map(done),
            Self::Recover { path } => {
                transaction::recover(&path).map(|found| Outcome::Recovered(Box::new(found)))
            }
            Self::Inspect { path } => {
                cached::inspect(engine, &path).map(|found| Outcome::FileSystem(Box::new(found)))
            }
            Self::Panic => panic!("a panic was asked for"),
        }
    }

    /// The path whose file system the operation waits for.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has a tier 0"))]
    pub(crate) fn path(&self) -> Option<&NativePath> {
        match self {
            Self::Read { path }
            | Self::ReadText { path, .. }
            | Self::Open { path, .. }
            | Self::Write { path, .. }
            | Self::WriteText { path, .. }
            | Self::AppendDurably { path, .. }
            | Self::AppendTextDurably { path, .. }
            | Self::WriteAtomically { path, .. }
            | Self::WriteTextAtomically { path, .. }
            | Self::OpenAtomically { path, .. }
            | Self::Stat { path, .. }
            | Self::IsType { path, .. }
            | Self::IsMount { path, .. }
            | Self::IsJunction { path }
            | Self::SameFile { path, .. }
            | Self::Owner { path, .. }
            | Self::Group { path, .. }
            | Self::Access { path, .. }
            | Self::StatVfs { path }
            | Self::ChangeMode { path, .. }
            | Self::ChangeOwner { path, .. }
            | Self::SetTimes { path, .. }
            | Self::Truncate { path, .. }
            | Self::GetAttribute { path, .. }
            | Self::SetAttribute { path, .. }
            | Self::ListAttributes { path, .. }
            | Self::RemoveAttribute { path, .. }
            | Self::Touch { path, .. }
            | Self::MakeDirectory { path, .. }
            | Self::RemoveDirectory { path }
            | Self::Unlink { path, .. }
            | Self::Rename { path, .. }
            | Self::RenameDurably { path, .. }
            | Self::Exchange { path, .. }
            | Self::Synchronise { path }
            | Self::Symlink { path, .. }
            | Self::Link { path, .. }
            | Self::ReadLink { path }
            | Self::Resolve { path, .. }
            | Self::BeginTransaction { path, .. }
            | Self::Recover { path }
            | Self::Inspect { path } => Some(path),
            Self::Commit { file } | Self::Discard { file } => Some(file.path()),
            Self::Stage { transaction, .. }
            | Self::CommitTransaction { transaction }
            | Self::UndoTransaction { transaction } => Some(transaction.path()),
            Self::Adopt(_) | Self::Home { .. } | Self::Panic => None,
        }
    }

    /// The device that its path is on, if that is known.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has a tier 0"))]
    pub(crate) fn device(&self) -> Option<u64> {
        match self {
            Self::Stage { transaction, .. }
            | Self::CommitTransaction { transaction }
            | Self::UndoTransaction { transaction } => Some(transaction.mount().device),
            _ => None,
        }
    }

    /// Whether it changes the directory that its path is in, and not what the path leads to.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux has a tier 0"))]
    pub(crate) fn changes_directory(&self) -> bool {
        matches!(
            self,
            Self::MakeDirectory { .. }
                | Self::RemoveDirectory { .. }
                | Self::Unlink { .. }
                | Self::Rename { .. }
                | Self::RenameDurably { .. }
                | Self::Exchange { .. }
                | Self::Symlink { .. }
                | Self::Link { .. }
        )
    }

    /// The kind under which [`crate::engine::timing`] keeps the operation's mean time.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Read { .. } => Kind::Read,
            Self::ReadText { .. } => Kind::ReadText,
            Self::Write { .. } => Kind::Write,
            Self::WriteText { .. } => Kind::WriteText,
            Self::AppendDurably { .. } => Kind::AppendDurably,
            Self::AppendTextDurably { .. } => Kind::AppendTextDurably,
            Self::WriteAtomically { .. } => Kind::WriteAtomically,
            Self::WriteTextAtomically { .. } => Kind::WriteTextAtomically,
            Self::OpenAtomically { .. } => Kind::OpenAtomically,
            Self::Commit { .. } => Kind::Commit,
            Self::Discard { .. } => Kind::Discard,
            Self::Stat { .. } => Kind::Stat,
            Self::IsType { .. } => Kind::IsType,
            Self::IsMount { .. } => Kind::IsMount,
            Self::IsJunction { .. } => Kind::IsJunction,
            Self::SameFile { .. } => Kind::SameFile,
            Self::Owner { .. } => Kind::Owner,
            Self::Group { .. } => Kind::Group,
            Self::Access { .. } => Kind::Access,
            Self::StatVfs { .. } => Kind::StatVfs,
            Self::ChangeMode { .. } => Kind::ChangeMode,
            Self::ChangeOwner { .. } => Kind::ChangeOwner,
            Self::SetTimes { .. } => Kind::SetTimes,
            Self::Truncate { .. } => Kind::Truncate,
            Self::GetAttribute { .. } => Kind::GetAttribute,
            Self::SetAttribute { .. } => Kind::SetAttribute,
            Self::ListAttributes { .. } => Kind::ListAttributes,
            Self::RemoveAttribute { .. } => Kind::RemoveAttribute,
            Self::Touch { .. } => Kind::Touch,
            Self::MakeDirectory { .. } => Kind::MakeDirectory,
            Self::RemoveDirectory { .. } => Kind::RemoveDirectory,
            Self::Unlink { .. } => Kind::Unlink,
            Self::Rename { .. } => Kind::Rename,
            Self::RenameDurably { .. } => Kind::RenameDurably,
            Self::Exchange { .. } => Kind::Exchange,
            Self::Synchronise { .. } => Kind::Synchronise,
            Self::Symlink { .. } => Kind::Symlink,
            Self::Link { .. } => Kind::Link,
            Self::ReadLink { .. } => Kind::ReadLink,
            Self::Resolve { .. } => Kind::Resolve,
            Self::Home { .. } => Kind::Home,
            Self::BeginTransaction { .. } => Kind::BeginTransaction,
            Self::Stage { .. } => Kind::Stage,
            Self::CommitTransaction { .. } => Kind::CommitTransaction,
            Self::UndoTransaction { .. } => Kind::UndoTransaction,
            Self::Recover { .. } => Kind::Recover,
            Self::Inspect { .. } => Kind::Inspect,
            Self::Panic => Kind::Panic,
            Self::Open { .. } => Kind::Open,
            Self::Adopt(_) => Kind::Adopt,
        }
    }
}
