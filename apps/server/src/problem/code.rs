//! The stable codes of problems.

use actix_web::http::StatusCode;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:ident, $title:literal;)+) => {
        /// A stable error code with its status, title and help page.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// The code as it is sent.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The HTTP status that it comes with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            /// The code in words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// The page that explains it, in Markdown.
            #[must_use]
            pub const fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!(
                        env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/", $text, ".md"
                    )),)+
                }
            }
        }
    };
}

codes! {
    /// What was sent cannot be parsed.
    BadRequest = "BAD_REQUEST", BAD_REQUEST, "The request cannot be read";
    /// No valid credentials.
    Unauthenticated = "UNAUTHENTICATED", UNAUTHORIZED, "Who are you?";
    /// It would cost more than is allowed.
    BudgetExceeded = "BUDGET_EXCEEDED", PAYMENT_REQUIRED, "It would cost too much";
    /// The role does not allow it.
    Forbidden = "FORBIDDEN", FORBIDDEN, "Your role does not allow this";
    /// A governance rule refused it.
    GovernanceDenied = "GOVERNANCE_DENIED", FORBIDDEN, "A rule of the workspace refused this";
    /// No such route or object.
    NotFound = "NOT_FOUND", NOT_FOUND, "There is no such thing";
    /// The route exists for other methods.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", METHOD_NOT_ALLOWED, "Not with this method";
    /// It contradicts the present state.
    Conflict = "CONFLICT", CONFLICT, "It contradicts the present state";
    /// Somebody changed it in the meantime.
    PreconditionFailed = "PRECONDITION_FAILED", PRECONDITION_FAILED, "It has changed in the meantime";
    /// The body is over the limit.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", PAYLOAD_TOO_LARGE, "The body is too large";
    /// The body is of another type than the endpoint reads.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", UNSUPPORTED_MEDIA_TYPE, "The content type is not supported";
    /// It parses, but is wrong.
    ValidationError = "VALIDATION_ERROR", UNPROCESSABLE_ENTITY, "Something in the request is wrong";
    /// Too many requests.
    RateLimited = "RATE_LIMITED", TOO_MANY_REQUESTS, "Too many requests";
    /// A failure inside.
    Internal = "INTERNAL", INTERNAL_SERVER_ERROR, "Something failed on our side";
    /// The process is not ready yet, or is stopping.
    Starting = "STARTING", SERVICE_UNAVAILABLE, "Not ready yet";
    /// The process has more to do than it can.
    Overloaded = "OVERLOADED", SERVICE_UNAVAILABLE, "Too busy";
    /// Something that the request needs is away.
    DependencyUnavailable = "DEPENDENCY_UNAVAILABLE", SERVICE_UNAVAILABLE, "A part that this needs is away";
    /// The answer would have come too late.
    DeadlineExceeded = "DEADLINE_EXCEEDED", GATEWAY_TIMEOUT, "It took too long";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_begins_with_its_code_and_says_what_to_do() {
        for code in Code::ALL {
            let page = code.page();
            let heading = format!("# {} ({})", code.as_str(), code.status().as_u16());
            assert!(page.starts_with(&heading), "{code:?}: {page}");
            for section in ["## What happened", "## What to do"] {
                assert!(page.contains(section), "{code:?} lacks {section}");
            }
        }
    }
}
