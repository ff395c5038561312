//! Values and rules of Mainstay; no IO.
