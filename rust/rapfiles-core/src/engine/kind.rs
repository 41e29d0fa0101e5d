//! The kinds of jobs, for each of which [`crate::engine::timing`] keeps a mean time.

macro_rules! kinds {
    ($($kind:ident,)*) => {
        /// A kind of job.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// How many there are.
            pub(crate) const COUNT: usize = [$(Self::$kind),*].len();
        }
    };
}

kinds! {
    // Of operations on paths.
    Read,
    ReadText,
    Write,
    WriteText,
    AppendDurably,
    AppendTextDurably,
    WriteAtomically,
    WriteTextAtomically,
    OpenAtomically,
    Commit,
    Discard,
    Stat,
    IsType,
    IsMount,
    IsJunction,
    SameFile,
    Owner,
    Group,
    Access,
    StatVfs,
    ChangeMode,
    ChangeOwner,
    SetTimes,
    Truncate,
    GetAttribute,
    SetAttribute,
    ListAttributes,
    RemoveAttribute,
    Touch,
    MakeDirectory,
    RemoveDirectory,
    Unlink,
    Rename,
    RenameDurably,
    Exchange,
    Synchronise,
    Symlink,
    Link,
    ReadLink,
    Resolve,
    Home,
    Inspect,
    BeginTransaction,
    Stage,
    CommitTransaction,
    UndoTransaction,
    Recover,
    Panic,
    Open,
    Adopt,
    Lock,
    // Of jobs for handles.
    Flush,
    HandleReadAhead,
    HandleRead,
    HandleReadText,
    HandleWrite,
    HandlePosition,
    HandleTruncate,
    HandleSynchronise,
    HandleClose,
    // Of streams.
    Step,
    ListDirectory,
    ScanDirectory,
    Glob,
    RemoveTree,
    Walk,
    Copy,
}
