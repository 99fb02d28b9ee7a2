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
        self.withholds = false;
        self.may_take_epoch = true;
    }

    /// Releases a halt with its deletions (`syncd approve`).
    pub fn approve(&mut self) {
        if self.holds() {
            self.approved = true;
            self.withholds = false;
            self.names.release();
        }
    }

    /// Deletions were held back when syncd ended: they are again, and with them whatever the first
    /// change set would delete. Which of them a guard at the peer had held nobody knows, and by its
    /// share it might now let them pass.
    pub fn hold_again(&mut self) {
        self.withholds = true;
    }

    /// Whether deletions are held back, or were when syncd ended.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.withholds || self.names.held() > 0
    }
}
