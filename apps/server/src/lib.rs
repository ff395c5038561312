//! The Mainstay server.
