//! What an operator asks of a channel.

use super::channel::Channel;

impl Channel {
    /// Tries everything that waits now (`syncd replay`).
    pub fn replay_now(&mut self) {
        self.retry.reset();
        self.compare_retry.reset();
        self.names.wake_all();
    }

    /// Releases a halt without its deletions (`syncd resume`): they are forgotten, until a compare
    /// shows them to the guard again. A fenced source may take a new epoch.
    pub fn resume(&mut self) {
        self.names.forget_held();
        self.may_take_epoch = true;
    }

    /// Releases a halt with its deletions (`syncd approve`).
    pub fn approve(&mut self) {
        if self.names.held() > 0 {
            self.approved = true;
            self.names.release();
        }
    }
}
