//! What is asked of sessions besides answers.

use super::job::Owner;
use super::session_store::{SessionError, SessionInfo};
use super::worker::Worker;

/// What to do with sessions of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionOrder {
    /// Make one of this name, which nobody must be able to guess.
    Create(String),
    /// Tell of all.
    List,
    /// Tell of one.
    Show(String),
    /// Park one on disk.
    Save(String),
    /// Take a parked one into memory.
    Restore(String),
    /// Forget one, its file included.
    Delete(String),
}

/// What came of an order: the session, or all of them.
pub type SessionReply = Result<Vec<SessionInfo>, SessionError>;

/// An order, with who is told what came of it.
pub(super) struct Ordered {
    pub(super) owner: Owner,
    pub(super) order: SessionOrder,
    pub(super) reply: Box<dyn FnOnce(SessionReply) + Send>,
}

impl std::fmt::Debug for Ordered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ordered").field("order", &self.order).finish_non_exhaustive()
    }
}

impl Worker<'_> {
    /// Does what has been ordered meanwhile.
    pub(super) fn follow_orders(&mut self) {
        loop {
            let ordered = self.shared.entrance().orders.pop_front();
            let Some(Ordered { owner, order, reply }) = ordered else { return };
            reply(self.follow(&owner, order));
        }
    }

    fn follow(&mut self, owner: &Owner, order: SessionOrder) -> SessionReply {
        let (sessions, engine) = (&mut self.sessions, self.engine);
        let one = match order {
            SessionOrder::List => return Ok(sessions.list(owner)),
            SessionOrder::Create(id) => sessions.create(owner, id),
            SessionOrder::Show(id) => sessions.info(owner, &id),
            SessionOrder::Save(id) => sessions.save(engine, owner, &id),
            SessionOrder::Delete(id) => sessions.delete(owner, &id),
            SessionOrder::Restore(id) => {
                let free = self.budget.total.saturating_sub(self.reserved());
                let restored = self.sessions.restore(engine, owner, &id, free);
                self.keep_within_budget(0);
                restored
            }
        };
        Ok(vec![one?])
    }
}
