//! `#[resilient(PIPELINE)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Error, Expr, FnArg, ItemFn, Pat, ReturnType, parse2, spanned::Spanned};

use crate::function;

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let pipeline: Expr = parse2(arguments)?;
    let ItemFn {
        attrs,
        vis,
        sig,
        block,
    } = function::parse(item, "resilient")?;
    let ReturnType::Type(_, output) = &sig.output else {
        return Ok(quote!());
    };
    let mut clones = Vec::new();
    for argument in &sig.inputs {
        clones.push(clone_of(argument)?);
    }
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            ::mainstay_resilience::Pipeline::around(&#pipeline, |_attempt| {
                #(#clones)*
                async move {
                    let answer: #output = async move #block.await;
                    answer
                }
            })
            .await
        }
    })
}

/// The statement that clones an argument for one attempt.
fn clone_of(argument: &FnArg) -> syn::Result<TokenStream> {
    match argument {
        // A receiver by reference is copied into each attempt as it is.
        FnArg::Receiver(receiver)
            if receiver.reference.is_some() && receiver.mutability.is_none() =>
        {
            Ok(quote!())
        }
        FnArg::Receiver(receiver) => Err(Error::new(
            receiver.span(),
            "#[resilient] may call the function several times: take &self",
        )),
        FnArg::Typed(argument) => {
            let Pat::Ident(pattern) = &*argument.pat else {
                return Err(Error::new(
                    argument.pat.span(),
                    "#[resilient] needs arguments with plain names",
                ));
            };
            let name = &pattern.ident;
            let mutability = &pattern.mutability;
            // The span of the type puts the error about a missing Clone there.
            let span = argument.ty.span();
            Ok(quote_spanned! {span=>
                let #mutability #name = ::mainstay_resilience::__macros::clone_argument(&#name);
            })
        }
    }
}
