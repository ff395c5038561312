//! WebSocket `/ws`, protocol `mainstay.v1`.

mod guard;
