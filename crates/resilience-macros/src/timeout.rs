//! `#[timeout("5s")]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemFn, LitStr, ReturnType, parse2};

use crate::{duration, function};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let limit = duration::parse(&parse2::<LitStr>(arguments)?)?;
    let ItemFn {
        attrs,
        vis,
        sig,
        block,
    } = function::parse(item, "timeout")?;
    let ReturnType::Type(_, output) = &sig.output else {
        return Ok(quote!());
    };
    let (seconds, nanos) = (limit.as_secs(), limit.subsec_nanos());
    let name = sig.ident.to_string();
    Ok(quote! {
        #(#attrs)*
        #vis #sig {
            ::mainstay_resilience::__macros::timeout(
                #name,
                ::core::time::Duration::new(#seconds, #nanos),
                async move {
                    let answer: #output = async move #block.await;
                    answer
                },
            )
            .await
        }
    })
}
