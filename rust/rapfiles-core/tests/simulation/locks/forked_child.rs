//! The process goes on as a forked child of itself: with its parent's memory and open files, but without its threads. The
//! parent goes on as another process, which has the same open files.

use std::collections::BTreeSet;

use super::other_processes::{Other, identity_of, is_free, unlock};
use super::{Task, Tasks, Wish};
use crate::lock::{HeldLock, Mode, in_simulated_child};
use crate::platform::calls::system;

impl Tasks<'_> {
    /// Whether an open file is one that the parent has opened.
    pub(super) fn is_inherited(&self, index: usize) -> bool {
        self.inherited.contains_key(&index)
    }

    /// From now on this is a forked child.
    pub(super) fn become_child(&mut self) {
        self.note(|| "this is a forked child".to_owned());
        self.children.clear();
        let files = (0..self.open.len()).filter_map(|index| Some((index, self.open[index].descriptor()?)));
        self.inherited = files.collect();
        let parent = self.parent();
        self.consumer.fork();
        // Not before: a thread that had not begun has closed its file, whose number may be another simulated process's.
        let leaving = self.consumer.trial().leaving.take();
        let open: BTreeSet<_> = self.consumer.trial().open.borrow().union(&leaving).copied().collect();
        self.forked = true;
        // As the handler of fork(2) does.
        in_simulated_child(&open);
        let kept: BTreeSet<_> = self.inherited.values().copied().collect();
        let known = self.known_before_fork.take();
        for descriptor in open.iter().filter(|descriptor| !kept.contains(descriptor)) {
            // A thread of the parent's was about to open or to close it: the child has it for ever.
            if !known.contains(descriptor) {
                // SAFETY: nobody in this process uses it.
                unsafe { system::close(*descriptor) };
            }
        }
        let trial = self.consumer.trial();
        trial.open.replace(kept.clone());
        trial.inherited.replace(kept);
        self.others.extend(parent.into_iter().map(Some));
        self.free_since.fill(None);
        self.tickets.fill(None);
        for task in 0..self.tasks.len() {
            self.inherit(task);
        }
        self.check_parent();
    }

    /// The parent, with the locks that it certainly has. It gives up the others.
    fn parent(&self) -> Vec<Other> {
        self.known_before_fork.replace(crate::lock::known_to_children().into_iter().collect());
        let descriptor_of = |held: Option<&HeldLock>, wish: &Wish| match wish.through {
            Some(open) => self.inherited.get(&open).copied(),
            None => held.and_then(HeldLock::descriptor),
        };
        let (mut seen, mut parent) = (BTreeSet::new(), Vec::new());
        for task in &self.tasks {
            if let Task::Holding(held, had) = task
                && let Some(descriptor) = descriptor_of(Some(held), &had.wish)
                // Some share a file.
                && (had.wish.through.is_some() || seen.insert(descriptor))
            {
                parent.push(Other::parent(had.wish, had.file, descriptor));
            }
        }
        let wishes = self.tasks.iter().filter_map(|task| match task {
            Task::Asking(_, super::Asked { wish, .. })
            | Task::Converting(_, super::Had { wish, .. }, ..)
            | Task::Releasing(_, super::Had { wish, .. }) => Some(wish),
            _ => None,
        });
        for wish in wishes.chain(&self.left_to_workers) {
            let kept = parent.iter().any(|other| other.wish.conflicts(wish));
            if let Some(descriptor) = descriptor_of(None, wish).filter(|_| !kept) {
                unlock(descriptor, wish.extent);
            }
        }
        parent
    }

    /// What a task of the parent's had is not the child's.
    fn inherit(&mut self, task: usize) {
        match std::mem::replace(&mut self.tasks[task], Task::Idle) {
            Task::Holding(held, _) => {
                if held.is_own() || held.is_there() {
                    self.wrong("a forked child holds a lock of its parent's");
                }
                if self.draw(2) == 0 {
                    self.tasks[task] = Task::HoldingNothing(held);
                }
            }
            Task::Converting(mut conversion, ..) => drop(conversion.abandon()),
            _ => {}
        }
    }

    /// The parent has what it had.
    pub(super) fn check_parent(&self) {
        for other in self.others.iter().flatten().filter(|other| other.is_parent) {
            let path = &self.paths[other.wish.file];
            if identity_of(path) == Some(other.file)
                && is_free(path, &Wish { mode: Mode::Exclusive, ..other.wish })
            {
                self.wrong(format!("the parent does not have {:?} any more", other.wish));
            }
        }
    }

    /// In a forked child: one that the parent was using is open for ever.
    pub(super) fn abandon_descriptor(&self, index: usize) {
        if let Some(descriptor) = self.inherited.get(&index)
            && self.consumer.trial().open.borrow_mut().remove(descriptor)
        {
            self.consumer.trial().inherited.borrow_mut().remove(descriptor);
            // SAFETY: nobody in this process uses it.
            unsafe { system::close(*descriptor) };
        }
    }
}
