//! Says that this side is at work where it has nothing else to say: the other side takes silence for
//! the end of it.

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::link::{FrameWriter, LinkError};
use crate::wire::{Message, WORKING_EVERY};

/// Writes what it is told to, and signs of life in between; ends the stream once nobody can tell it
/// any more.
///
/// # Errors
/// [`LinkError`].
pub(super) async fn speak(mut writer: FrameWriter, mut told: mpsc::Receiver<Message>) -> Result<(), LinkError> {
    loop {
        match timeout(WORKING_EVERY, told.recv()).await {
            Ok(Some(message)) => writer.write(&message).await?,
            Ok(None) => return writer.finish(),
            Err(_) => writer.write(&Message::Working).await?,
        }
    }
}
