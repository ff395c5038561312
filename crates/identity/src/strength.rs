//! Whether a password can be guessed.
//!
//! Rules of composition make passwords worse. What helps is to refuse those
//! that attackers try first: the ones that leaked most often, words, names,
//! dates, keyboard patterns and simple variations of all these.

use crate::password::Password;

/// The password would be guessed early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is too easy to guess: it is common, or made of common words, names, dates or patterns")]
pub struct GuessablePassword;

/// How many guesses a password must withstand: those that somebody makes over
/// months against throttled logins, with room to spare.
const LEAST_GUESSES: u64 = 1_000_000;

/// The most characters that are looked at; the time grows with their square.
const LOOKED_AT: usize = 72;

/// Refuses a new password that would be guessed early. `known` is what an
/// attacker knows about its owner, such as their name and e-mail address.
///
/// This takes up to some milliseconds; ask it before hashing a new password,
/// not at every login.
///
/// # Errors
/// [`GuessablePassword`], with a message for the person who chose it.
pub fn check_strength(password: &Password, known: &[&str]) -> Result<(), GuessablePassword> {
    let parts: Vec<&str> = known
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()).chain([*text]))
        .filter(|part| part.chars().count() > 2)
        .collect();
    let text = password.text();
    let end = text
        .char_indices()
        .nth(LOOKED_AT)
        .map_or(text.len(), |(at, _)| at);
    let beginning = text.get(..end).unwrap_or(text);
    if zxcvbn::zxcvbn(beginning, &parts).guesses() < LEAST_GUESSES {
        return Err(GuessablePassword);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_strong(text: &str) -> bool {
        let known = ["Ada Lovelace", "ada.lovelace@example.org"];
        check_strength(&Password::parse(text).unwrap(), &known).is_ok()
    }

    #[test]
    fn what_attackers_try_first_is_refused() {
        for bad in [
            "password",
            "12345678",
            "Password1",
            "p@ssw0rd",
            "qwertyuiop",
            "iloveyou1",
            "11111111",
            "abcdefgh",
            "letmein1",
            "monkey12",
            "lovelace",
            "ada.lovelace@example.org",
            "Lovelace1",
            "aaaaaaaaaaaaaaaa",
            "19870412",
        ] {
            assert!(!is_strong(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_hard_to_guess_is_taken_whatever_it_is_made_of() {
        for good in [
            "correct horse battery staple",
            "xk7qzpvw",
            "tulpen wachsen im keller",
            "пароль из четырёх слов",
            &"long and winding ".repeat(15),
        ] {
            assert!(is_strong(good), "{good}");
        }
    }
}
