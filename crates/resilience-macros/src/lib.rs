//! The attribute macros of `mainstay-resilience`; use them through its feature
//! `macros`.

mod duration;
mod function;
mod layer;

use layer::Layer;
use proc_macro::TokenStream;

/// Bounds the time of an async function: `#[timeout("5s")]`.
///
/// The function answers with `Result<T, mainstay_resilience::Error<E>>`; inside
/// it `?` works on `E` as well. The duration is a sequence of whole numbers
/// with the units `h`, `m`, `s` and `ms`, checked when the program is compiled.
///
/// Together with `#[resilient]`, the attribute that stands first goes
/// outermost: `#[resilient(P)] #[timeout("1s")]` gives each attempt a second,
/// `#[timeout("1s")] #[resilient(P)]` all attempts together.
#[proc_macro_attribute]
pub fn timeout(arguments: TokenStream, item: TokenStream) -> TokenStream {
    Layer::timeout(arguments.into())
        .and_then(|layer| function::expand(layer, item.into()))
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// Runs an async function through a pipeline: `#[resilient(POSTGRES)]`, with an
/// expression that dereferences to a `Pipeline`, such as a `LazyLock` static.
///
/// The function answers with `Result<T, mainstay_resilience::Error<E>>`. Each
/// attempt gets clones of the arguments, so that they must be `Clone`;
/// references are.
#[proc_macro_attribute]
pub fn resilient(arguments: TokenStream, item: TokenStream) -> TokenStream {
    Layer::resilient(arguments.into())
        .and_then(|layer| function::expand(layer, item.into()))
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}
