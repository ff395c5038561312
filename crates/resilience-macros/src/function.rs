//! What both macros need to know about a function.

use proc_macro2::TokenStream;
use syn::{Error, ItemFn, parse2, spanned::Spanned};

/// Reads an async function.
pub(crate) fn parse(item: TokenStream, attribute: &str) -> syn::Result<ItemFn> {
    let function: ItemFn = parse2(item)?;
    if function.sig.asyncness.is_none() {
        return Err(Error::new(
            function.sig.fn_token.span(),
            format!("#[{attribute}] needs an async function"),
        ));
    }
    if matches!(function.sig.output, syn::ReturnType::Default) {
        return Err(Error::new(
            function.sig.ident.span(),
            format!(
                "#[{attribute}] needs a function that returns Result<T, mainstay_resilience::Error<E>>"
            ),
        ));
    }
    Ok(function)
}
