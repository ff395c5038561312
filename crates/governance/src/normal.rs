//! Text as a reader sees it: without invisible characters, in one alphabet
//! and one case.

use unicode_normalization::char::decompose_compatible;

/// Whether a character is invisible and can hide inside a word: zero-width
/// characters, soft hyphens, variation selectors, direction marks, tags.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// The ASCII character that a character is another form of: full-width,
/// mathematical, circled, superscript, or a typographic dash or space.
pub(crate) fn ascii_form(c: char) -> Option<char> {
    if c.is_ascii() {
        return Some(c);
    }
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' | '\u{FF0D}' => {
            return Some('-');
        }
        '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => {
            return Some(' ');
        }
        // Letters of European languages are no other form of an ASCII letter.
        '\u{C0}'..='\u{24F}' => return None,
        _ => {}
    }
    let (mut form, mut count) = (None, 0);
    decompose_compatible(c, |part| {
        count += 1;
        form = Some(part);
    });
    form.filter(|form| count == 1 && form.is_ascii())
        .or_else(|| c.to_digit_any())
}

trait AnyDigit {
    fn to_digit_any(self) -> Option<char>;
}

impl AnyDigit for char {
    /// The digit that a decimal digit of another script stands for. The blocks
    /// are those that people type numbers with.
    fn to_digit_any(self) -> Option<char> {
        const ZEROS: [u32; 6] = [0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0xBE6];
        let code = u32::from(self);
        ZEROS
            .into_iter()
            .find(|zero| (*zero..*zero + 10).contains(&code))
            .and_then(|zero| char::from_digit(code - zero, 10))
    }
}

/// The text's characters without invisible ones, in ASCII where they are
/// another form of it, in lower case.
pub(crate) fn fold(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| ascii_form(c).unwrap_or(c))
        .flat_map(char::to_lowercase)
}
