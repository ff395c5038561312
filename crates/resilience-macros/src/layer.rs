//! What one attribute puts around a function's body.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Attribute, Error, Expr, FnArg, LitStr, Meta, Pat, Signature, Type, parse2, spanned::Spanned,
};

use crate::duration;

/// One of our attributes, with its argument.
pub(crate) enum Layer {
    Timeout(std::time::Duration),
    Resilient(Box<Expr>),
}

impl Layer {
    pub(crate) fn timeout(arguments: TokenStream) -> syn::Result<Self> {
        let literal: LitStr = parse2(arguments)?;
        Ok(Self::Timeout(duration::parse(&literal)?))
    }

    pub(crate) fn resilient(arguments: TokenStream) -> syn::Result<Self> {
        Ok(Self::Resilient(Box::new(parse2(arguments)?)))
    }

    /// Reads another attribute of the function, if it is one of ours.
    pub(crate) fn from_attribute(attribute: &Attribute) -> syn::Result<Option<Self>> {
        let Meta::List(list) = &attribute.meta else {
            return Ok(None);
        };
        let Some(name) = list.path.segments.last() else {
            return Ok(None);
        };
        match name.ident.to_string().as_str() {
            "timeout" => Self::timeout(list.tokens.clone()).map(Some),
            "resilient" => Self::resilient(list.tokens.clone()).map(Some),
            _ => Ok(None),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Resilient(_) => "resilient",
        }
    }

    /// Puts the layer around `body`, a block that answers with `output`.
    pub(crate) fn around(
        &self,
        body: &TokenStream,
        signature: &Signature,
        output: &Type,
    ) -> syn::Result<TokenStream> {
        let body = quote! {
            async move {
                // The type is needed for `?` to know what to make of an error.
                let answer: #output = async move #body.await;
                answer
            }
        };
        match self {
            Self::Timeout(limit) => {
                let (seconds, nanos) = (limit.as_secs(), limit.subsec_nanos());
                let name = signature.ident.to_string();
                Ok(quote! {{
                    ::mainstay_resilience::__macros::timeout(
                        #name,
                        ::core::time::Duration::new(#seconds, #nanos),
                        #body,
                    )
                    .await
                }})
            }
            Self::Resilient(pipeline) => {
                let clones = signature.inputs.iter().map(clone_of);
                let clones = clones.collect::<syn::Result<Vec<_>>>()?;
                Ok(quote! {{
                    ::mainstay_resilience::Pipeline::around(&#pipeline, |_attempt| {
                        #(#clones)*
                        #body
                    })
                    .await
                }})
            }
        }
    }
}

/// The statement that clones an argument for one attempt.
fn clone_of(argument: &FnArg) -> syn::Result<TokenStream> {
    match argument {
        // A shared receiver goes into each attempt as it is.
        FnArg::Receiver(receiver)
            if receiver.reference.is_some() && receiver.mutability.is_none() =>
        {
            Ok(TokenStream::new())
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
            let (name, mutability) = (&pattern.ident, &pattern.mutability);
            // The error about a missing Clone points at the type.
            let span = argument.ty.span();
            Ok(quote_spanned! {span=>
                let #mutability #name = ::mainstay_resilience::__macros::clone_argument(&#name);
            })
        }
    }
}
