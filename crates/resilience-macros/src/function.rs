//! The function that carries the attributes.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, FnArg, ItemFn, Pat, ReturnType, parse2, spanned::Spanned};

use crate::layer::Layer;

/// Puts `first`, and those of our attributes that follow it, around the body of
/// the function: the attribute that stands first goes outermost.
pub(crate) fn expand(first: Layer, item: TokenStream) -> syn::Result<TokenStream> {
    let mut function: ItemFn = parse2(item)?;
    let attribute = first.name();
    if function.sig.asyncness.is_none() {
        return Err(Error::new(
            function.sig.fn_token.span(),
            format!("#[{attribute}] needs an async function"),
        ));
    }
    let ReturnType::Type(_, output) = function.sig.output.clone() else {
        return Err(Error::new(
            function.sig.ident.span(),
            format!(
                "#[{attribute}] needs a function that returns \
                 Result<T, mainstay_resilience::Error<E>>"
            ),
        ));
    };
    let mut layers = vec![first];
    let mut others = Vec::new();
    for attribute in function.attrs {
        match Layer::from_attribute(&attribute)? {
            Some(layer) => layers.push(layer),
            None => others.push(attribute),
        }
    }
    let mut body = function.block.to_token_stream();
    for layer in layers.iter().rev() {
        body = layer.around(&body, &function.sig, &output)?;
    }
    if layers
        .iter()
        .any(|layer| matches!(layer, Layer::Resilient(_)))
    {
        function.sig.inputs.iter_mut().for_each(forget_mut);
    }
    let (visibility, signature) = (function.vis, function.sig);
    Ok(quote! {
        #(#others)*
        #visibility #signature #body
    })
}

/// Only the clones of an argument are changed, if anything is.
fn forget_mut(argument: &mut FnArg) {
    if let FnArg::Typed(argument) = argument
        && let Pat::Ident(pattern) = &mut *argument.pat
    {
        pattern.mutability = None;
    }
}
