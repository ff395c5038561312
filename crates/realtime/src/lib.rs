#![doc = include_str!("../README.md")]

mod admission;
mod hub;
mod lock;
mod position;
pub mod presence;
mod pressure;
mod queue;
mod runs;
mod spread;

pub use admission::{Admission, AdmissionConfig, Reason, Refused, Slot};
pub use hub::{Delivery, Event, Hub, HubConfig, HubStats, Listener, SubscribeError, Subscribed};
pub use position::{Epoch, ParsePositionError, Position};
pub use presence::{Presence, Present, TooManyMembers};
pub use pressure::{Level, Pressure, PressureConfig, Sample};
pub use queue::{CloseReason, Closed, Frame, Outbox, QueueConfig, SendQueue, queue};
pub use runs::{
    AppendError, Read, RunEvent, RunReader, RunWriter, Runs, RunsConfig, RunsStats, StartError,
};
pub use spread::Spread;
