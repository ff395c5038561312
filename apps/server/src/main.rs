//! The Mainstay server binary.
fn main() {}
