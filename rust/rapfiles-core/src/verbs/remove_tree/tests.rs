//! Removals, step by step.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use std::sync::Arc;

use super::Remover;
use super::removing::Request;
use crate::engine::stream::SliceBySlice;
use crate::error::{Error, Subject};
use crate::platform::{self, NativePath};
use crate::verbs::post_order::PostOrder;
use crate::verbs::report::{Policy, Reporter};

fn remove_tree(path: NativePath, ignore_errors: bool) -> Result<(), Error> {
    super::remove_tree(path, ignore_errors, || Ok(()))
}

fn native(path: &Path) -> NativePath {
    NativePath::from_vec(path.as_os_str().as_bytes().to_vec()).unwrap()
}

/// A removal in small steps.
struct Slowly {
    tree: PostOrder<Remover>,
    steps: SliceBySlice<PostOrder<Remover>>,
}

impl Slowly {
    /// `workers`: the more there are, the fewer directories are open on the way down.
    fn new(path: &Path, ignore_errors: bool, workers: usize) -> Self {
        let policy = if ignore_errors { Policy::Ignore } else { Policy::Raise };
        let request = Request { path: native(path), policy, lenient: true, moved: None };
        let tree = request.tree(&Arc::new(Reporter::new(policy, false)), workers, Arc::default());
        Self { steps: SliceBySlice::new(tree.clone()), tree }
    }

    fn depth(&self) -> usize {
        self.steps.part().map_or(0, |part| part.place_in_tree().0)
    }

    fn is_reading(&self) -> bool {
        self.steps.part().is_some_and(|part| part.place_in_tree().1)
    }

    /// Goes on until `depth` directories have been entered.
    fn enter(&mut self, depth: usize) {
        while self.depth() < depth {
            assert!(matches!(self.steps.go_on_shortly(), Ok(false)));
        }
    }

    fn finish(&mut self) -> Result<(), Error> {
        while !self.steps.go_on_shortly()? {}
        self.tree.visitor().take_failure().map_or(Ok(()), |(_, error)| Err(error))
    }
}

#[test]
fn everything_goes_in_any_number_of_steps() {
    let folder = tempfile::tempdir().unwrap();
    let (top, outside) = (folder.path().join("top"), folder.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), b"precious").unwrap();
    for small in [false, true] {
        for number in 0..30 {
            let deep = top.join(format!("{number}/a/b"));
            fs::create_dir_all(&deep).unwrap();
            fs::write(deep.join("file"), b"").unwrap();
            symlink(&outside, top.join(format!("{number}/link"))).unwrap();
            symlink("nowhere", deep.join("dangling")).unwrap();
        }
        if small {
            Slowly::new(&top, false, 1).finish().unwrap();
        } else {
            remove_tree(native(&top), false).unwrap();
        }
        assert!(!top.exists());
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"precious");
    }
    remove_tree(native(&top), false).unwrap();
}

#[test]
fn a_directory_that_is_moved_elsewhere_is_not_followed_there() {
    for ignore_errors in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (top, other) = (folder.path().join("top"), folder.path().join("other"));
        fs::create_dir_all(top.join("a/b/c")).unwrap();
        fs::create_dir_all(other.join("precious")).unwrap();
        let mut removal = Slowly::new(&top, ignore_errors, usize::MAX);
        removal.enter(4);
        fs::rename(top.join("a/b"), other.join("b")).unwrap();
        match removal.finish() {
            Err(Error::BeingMoved(Subject::Other(path))) if !ignore_errors => {
                assert_eq!(path, native(&top.join("a/b")));
            }
            ended => assert!(ended.is_ok() && ignore_errors, "{ended:?}"),
        }
        assert!(other.join("precious").is_dir() && other.join("b").is_dir());
        assert!(top.join("a").is_dir());
    }
}

#[test]
fn a_link_in_place_of_a_directory_is_removed_and_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (top, victim) = (folder.path().join("top"), folder.path().join("victim"));
    for path in [&top, &victim] {
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/b/file"), b"content").unwrap();
    }
    let mut removal = Slowly::new(&top, false, 1);
    removal.enter(1);
    while removal.steps.part().is_some() {
        assert!(matches!(removal.steps.go_on_shortly(), Ok(false)));
    }
    // It has been seen that this is a directory.
    fs::rename(top.join("a"), folder.path().join("aside")).unwrap();
    symlink(victim.join("a"), top.join("a")).unwrap();
    removal.finish().unwrap();
    assert!(!top.exists());
    assert_eq!(fs::read(victim.join("a/b/file")).unwrap(), b"content");
}

#[test]
fn another_directory_in_the_place_of_one_is_emptied_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let (top, aside) = (folder.path().join("top"), folder.path().join("aside"));
    fs::create_dir_all(top.join("a/b")).unwrap();
    let mut removal = Slowly::new(&top, false, 1);
    removal.enter(2);
    fs::rename(top.join("a"), &aside).unwrap();
    fs::create_dir_all(top.join("a/new")).unwrap();
    removal.finish().unwrap();
    // What was open is emptied where it is, and what has its name now is in the tree.
    assert!(aside.is_dir() && !aside.join("b").exists() && !top.exists());
}

#[test]
fn what_is_put_in_meanwhile_goes_too() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().join("top");
    for late in ["late", "a/late"] {
        fs::create_dir_all(top.join("a")).unwrap();
        let mut removal = Slowly::new(&top, false, 1);
        removal.enter(1 + late.matches('/').count());
        // Everything that is there has been seen, and the innermost directory is about to be removed.
        while removal.is_reading() {
            assert!(matches!(removal.steps.go_on_shortly(), Ok(false)));
        }
        fs::write(top.join(late), b"").unwrap();
        removal.finish().unwrap();
        assert!(!top.exists(), "{late}");
    }
}

#[test]
fn what_cannot_be_removed_is_told_or_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let link = folder.path().join("link");
    symlink(folder.path(), &link).unwrap();
    for path in [&file, &link] {
        match remove_tree(native(path), false) {
            Err(Error::Os { code, subject: Subject::Other(named) }) => {
                assert!(platform::is_no_directory(code));
                assert_eq!(named, native(path));
            }
            other => panic!("{other:?}"),
        }
        remove_tree(native(path), true).unwrap();
        assert!(path.symlink_metadata().is_ok());
    }
}
