//! One-shot questions: through the cache to the database and the model.

mod asking;
mod hit;
mod ledger;
mod load;
mod plan_b;
mod stream;
mod whole;

pub use stream::ExecutionStream;
