//! Precision and recall on generated, labelled text.
//!
//! The gates are those of the project's research page: of the labelled spans
//! at most 2 % may leak a single character, and of the clean texts at most
//! 2.5 % may be hit. The text is generated from a fixed seed, so a failure
//! can be looked at.

use crate::guarded;

/// A generator that gives the same texts on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.roll() % limit as u64) as usize
    }

    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn digits(&mut self, count: usize) -> String {
        (0..count)
            .map(|_| char::from(b'0' + self.below(10) as u8))
            .collect()
    }

    fn letters(&mut self, count: usize) -> String {
        (0..count)
            .map(|_| char::from(b'a' + self.below(26) as u8))
            .collect()
    }

    fn hex(&mut self, count: usize) -> String {
        (0..count)
            .map(|_| char::from(b"0123456789abcdef"[self.below(16)]))
            .collect()
    }

    /// Replaces each `#` by a digit and each `N` by one from 2 to 9.
    fn fill(&mut self, pattern: &str) -> String {
        pattern
            .chars()
            .map(|c| match c {
                '#' => char::from(b'0' + self.below(10) as u8),
                'N' => char::from(b'2' + self.below(8) as u8),
                c => c,
            })
            .collect()
    }
}

const FIRST: &[&str] = &[
    "ada", "jose", "li", "olga", "sam", "priya", "chen", "mary-ann", "o'brien",
];
const LAST: &[&str] = &[
    "lovelace", "smith", "garcia", "nguyen", "kim", "ivanova", "müller",
];
const HOSTS: &[&str] = &[
    "example.org",
    "mail.example.co.uk",
    "corp.example",
    "gmail.com",
    "sub-domain.example.museum",
];

fn email(dice: &mut Dice) -> String {
    let separator = dice.of(&[".", "_", "-", "+", ""]);
    let number = match dice.below(3) {
        0 => dice.digits(2),
        _ => String::new(),
    };
    let first = dice.of(FIRST);
    let last = dice.of(LAST);
    let address = format!("{first}{separator}{last}{number}@{}", dice.of(HOSTS));
    if dice.below(5) == 0 {
        address.to_uppercase()
    } else {
        address
    }
}

fn phone(dice: &mut Dice) -> String {
    let pattern = dice.of(&[
        "(N##) N##-####",
        "N##-N##-####",
        "N##.N##.####",
        "+1 N## N## ####",
        "+1-N##-N##-####",
        "1-N##-N##-####",
        "+1 (N##) N##-####",
        "+1N##N######",
        "+44 20 7### ####",
        "020 7### ####",
        "07### ######",
        "+44 7### ######",
        "+49 30 N######",
        "030 N#######",
        "+49 (0)30 N######",
        "0171/N######",
        "+33 1 ## ## ## ##",
        "01 ## ## ## ##",
        "06 12 34 56 ##",
        "+91 98### #####",
        "+81 3-####-####",
        "03-####-####",
        "+61 2 #### ####",
        "+55 11 9####-####",
        "+34 91 ### ## ##",
        "0044 20 7### ####",
        "+31 6 ########",
        "+86 138 #### ####",
        "+7 495 ###-##-##",
        "+41 44 ### ## ##",
        "+353 1 ### ####",
        "+46 8 ### ### ##",
        "+27 11 ### ####",
    ]);
    dice.fill(pattern)
}

/// A phone number that only its announcement gives away.
fn announced_phone(dice: &mut Dice) -> (String, String) {
    let words = dice.of(&[
        "call me at",
        "phone:",
        "Tel.",
        "my cell is",
        "Mobile:",
        "WhatsApp me on",
    ]);
    let pattern = dice.of(&[
        "N#########",
        "N## ####",
        "##### #####",
        "0##########",
        "N### ####",
        "### ## ## ##",
    ]);
    (words.to_owned(), dice.fill(pattern))
}

fn card(dice: &mut Dice) -> String {
    let (prefix, length, grouping): (&str, usize, &[usize]) = dice.of(&[
        ("4", 16, &[4, 4, 4, 4][..]),
        ("4", 13, &[4, 4, 4, 1][..]),
        ("4", 19, &[4, 4, 4, 4, 3][..]),
        ("51", 16, &[4, 4, 4, 4][..]),
        ("55", 16, &[4, 4, 4, 4][..]),
        ("2221", 16, &[4, 4, 4, 4][..]),
        ("2720", 16, &[4, 4, 4, 4][..]),
        ("34", 15, &[4, 6, 5][..]),
        ("37", 15, &[4, 6, 5][..]),
        ("6011", 16, &[4, 4, 4, 4][..]),
        ("36", 14, &[4, 6, 4][..]),
        ("3528", 16, &[4, 4, 4, 4][..]),
        ("62", 19, &[4, 4, 4, 4, 3][..]),
        ("50", 12, &[4, 4, 4][..]),
        ("6759", 16, &[4, 4, 4, 4][..]),
    ]);
    let body = format!("{prefix}{}", dice.digits(length - prefix.len() - 1));
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, b)| {
            let digit = u32::from(b - b'0') * if index % 2 == 0 { 2 } else { 1 };
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    let number = format!("{body}{}", (10 - sum % 10) % 10);
    grouped(dice, &number, grouping)
}

fn grouped(dice: &mut Dice, number: &str, grouping: &[usize]) -> String {
    let separator = dice.of(&["", " ", "-"]);
    let mut rest = number;
    let mut groups = Vec::new();
    for length in grouping {
        let (group, next) = rest.split_at(*length);
        groups.push(group);
        rest = next;
    }
    groups.join(separator)
}

fn iban(dice: &mut Dice) -> String {
    let (country, pattern) = dice.of(&[
        ("DE", "##################"),
        ("GB", "NWBK##############"),
        ("FR", "#######################"),
        ("NL", "ABNA##########"),
        ("CH", "#################"),
        ("MT", "MALT############MTLCAST###S"),
        ("ES", "####################"),
        ("NO", "###########"),
        ("PL", "########################"),
        ("IE", "AIBK##############"),
    ]);
    let body = dice
        .fill(&pattern.replace('N', "\u{1}"))
        .replace('\u{1}', "N");
    let number = |text: &str| {
        text.bytes().fold(0_u64, |remainder, b| match b {
            b'0'..=b'9' => (remainder * 10 + u64::from(b - b'0')) % 97,
            _ => (remainder * 100 + u64::from(b - b'A') + 10) % 97,
        })
    };
    let check = 98 - number(&format!("{body}{country}00"));
    let compact = format!("{country}{check:02}{body}");
    match dice.below(3) {
        0 => compact,
        1 => compact
            .as_bytes()
            .chunks(4)
            .map(|group| str::from_utf8(group).unwrap())
            .collect::<Vec<_>>()
            .join(" "),
        _ => compact.to_lowercase(),
    }
}

fn ip(dice: &mut Dice) -> String {
    match dice.below(6) {
        0..=2 => {
            let [a, b, c, d] = [1, 0, 0, 1].map(|low| dice.between(low, 254));
            let a = if a == 127 { 128 } else { a };
            format!("{a}.{b}.{c}.{d}")
        }
        3 => (0..8).map(|_| dice.hex(4)).collect::<Vec<_>>().join(":"),
        4 => format!("2001:db8:{}::{}", dice.hex(3), dice.between(1, 9999)),
        _ => format!(
            "fe80::{}:{}ff:fe{}:{}",
            dice.hex(4),
            dice.hex(2),
            dice.hex(2),
            dice.hex(4)
        ),
    }
}

fn ssn(dice: &mut Dice) -> String {
    let (area, group, serial) = (
        dice.between(1, 665),
        dice.between(1, 99),
        dice.between(1, 9999),
    );
    let separator = dice.of(&["-", " "]);
    format!("{area:03}{separator}{group:02}{separator}{serial:04}")
}

fn nhs(dice: &mut Dice) -> String {
    loop {
        let body = dice.digits(9);
        let sum: usize = body
            .bytes()
            .enumerate()
            .map(|(index, b)| usize::from(b - b'0') * (10 - index))
            .sum();
        let check = (11 - sum % 11) % 11;
        if check != 10 {
            return format!("{} {} {}{check}", &body[..3], &body[3..6], &body[6..]);
        }
    }
}

fn wallet(dice: &mut Dice) -> String {
    match dice.below(2) {
        0 => format!("0x{}", dice.hex(40)),
        _ => dice
            .of(&[
                "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
                "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
                "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            ])
            .to_owned(),
    }
}

fn secret(dice: &mut Dice) -> String {
    match dice.below(4) {
        0 => format!("AKIA{}", dice.letters(16).to_uppercase()),
        1 => format!("ghp_{}", dice.hex(36)),
        2 => format!("sk-ant-api03-{}", dice.hex(40)),
        _ => format!("eyJhbGciOiJIUzI1NiJ9.eyJ{}.{}", dice.hex(30), dice.hex(43)),
    }
}

/// Text around a finding, before and after it.
const AROUND: &[(&str, &str)] = &[
    ("Please note ", " for the record."),
    ("I think it is ", ", but I am not sure"),
    ("(", ")"),
    ("\"", "\""),
    ("Details: ", "\nThanks"),
    ("", ""),
    ("It was ", ". Then he left."),
    ("- ", " | yes"),
    ("id=", ";"),
    ("ask for ", "!"),
    ("**", "**"),
    ("from\t", "\tto"),
    ("数字：", "。"),
];

#[track_caller]
fn gate(name: &str, mut make: impl FnMut(&mut Dice) -> (String, String)) {
    const COUNT: usize = 1000;
    let mut dice = Dice(42);
    let mut leaked = Vec::new();
    for _ in 0..COUNT {
        let (announced, label) = make(&mut dice);
        let (before, after) = dice.of(AROUND);
        let gap = if announced.is_empty() { "" } else { " " };
        let (before, after) = if announced.is_empty() {
            (before, after)
        } else {
            ("", "")
        };
        let text = format!("{before}{announced}{gap}{label}{after}");
        let guarded = guarded(&text);
        // Whatever stands where the label stood must be placeholders alone.
        let kept = guarded
            .strip_prefix(&format!("{before}{announced}{gap}"))
            .and_then(|rest| rest.strip_suffix(after));
        let is_covered = kept.is_some_and(|kept| {
            kept.starts_with('<') && kept.ends_with('>') && !kept.contains(' ')
        });
        if !is_covered {
            leaked.push((text, guarded));
        }
    }
    let rate = leaked.len() as f64 / COUNT as f64;
    leaked.truncate(12);
    assert!(
        rate <= 0.02,
        "{name}: {:.1} % leaked, such as {leaked:#?}",
        rate * 100.0
    );
}

fn plain(make: impl Fn(&mut Dice) -> String) -> impl FnMut(&mut Dice) -> (String, String) {
    move |dice| (String::new(), make(dice))
}

#[test]
fn addresses_do_not_leak() {
    gate("e-mail", plain(email));
    gate("ip", plain(ip));
    gate("wallet", plain(wallet));
}

#[test]
fn telephone_numbers_do_not_leak() {
    gate("phone", plain(phone));
    gate("announced phone", announced_phone);
}

#[test]
fn bank_data_does_not_leak() {
    gate("card", plain(card));
    gate("iban", plain(iban));
}

#[test]
fn national_numbers_do_not_leak() {
    gate("ssn", plain(ssn));
    gate("nhs", plain(nhs));
    gate("announced ssn", |dice| {
        ("My SSN is".to_owned(), ssn(dice).replace(['-', ' '], ""))
    });
    gate("announced nhs", |dice| {
        ("NHS number".to_owned(), nhs(dice).replace(' ', ""))
    });
}

#[test]
fn secrets_do_not_leak() {
    gate("secret", plain(secret));
}

/// A text without anything personal, of the kinds that detectors stumble over.
fn clean(dice: &mut Dice) -> String {
    match dice.below(28) {
        0 => format!("Your order {} has shipped.", dice.digits(10)),
        1 => format!("created_at: {}", 1_600_000_000 + dice.below(100_000_000)),
        2 => format!(
            "ts={}",
            1_600_000_000_000_u64 + dice.roll() % 100_000_000_000
        ),
        3 => format!(
            "Upgrade to version {}.{}.{}.{}",
            dice.below(20),
            dice.below(20),
            dice.below(20),
            dice.below(20)
        ),
        4 => format!(
            "{}-{}-4{}-a{}-{}",
            dice.hex(8),
            dice.hex(4),
            dice.hex(3),
            dice.hex(3),
            dice.hex(12)
        ),
        5 => format!("commit {} fixes it", dice.hex(40)),
        6 => format!("sha256:{}", dice.hex(64)),
        7 => format!(
            "On {}-{:02}-{:02} at {:02}:{:02}:{:02}.{}",
            2000 + dice.below(30),
            dice.between(1, 12),
            dice.between(1, 28),
            dice.below(24),
            dice.below(60),
            dice.below(60),
            dice.digits(3)
        ),
        8 => format!(
            "{:02}.{:02}.{} {:02}:{:02}",
            dice.between(1, 28),
            dice.between(1, 12),
            2000 + dice.below(30),
            dice.below(24),
            dice.below(60)
        ),
        9 => format!(
            "It costs ${},{}.{} or {} EUR",
            dice.between(1, 999),
            dice.digits(3),
            dice.digits(2),
            dice.digits(4)
        ),
        10 => format!("pi is 3.{} and e is 2.{}", dice.digits(20), dice.digits(16)),
        11 => format!("ISBN 978-3-16-{}-{}", dice.digits(6), dice.digits(1)),
        12 => format!(
            "at {}.{} N, {}.{} E",
            dice.below(90),
            dice.digits(6),
            dice.below(180),
            dice.digits(6)
        ),
        13 => format!(
            "std::collections::HashMap<{}, Vec<u8>>::new()",
            dice.letters(5)
        ),
        14 => format!(
            "table: {} {} {} {} {}",
            dice.below(100),
            dice.below(1000),
            dice.below(10),
            dice.below(5000),
            dice.below(100)
        ),
        15 => format!(
            "In {} about {} people lived in {} houses.",
            1900 + dice.below(120),
            dice.between(1000, 99_999),
            dice.between(10, 999)
        ),
        16 => format!(
            "part no. {}-{}-{}",
            dice.letters(2).to_uppercase(),
            dice.digits(5),
            dice.letters(1).to_uppercase()
        ),
        17 => format!(
            "#{} and rgba({}, {}, {}, 0.5)",
            dice.hex(6),
            dice.below(256),
            dice.below(256),
            dice.below(256)
        ),
        18 => format!(
            "https://example.org/{}/{}?page={}",
            dice.letters(8),
            dice.digits(8),
            dice.below(100)
        ),
        19 => format!(
            "The ratio is {}:{} and the range {}-{}.",
            dice.below(100),
            dice.below(100),
            dice.below(1000),
            dice.between(1000, 2000)
        ),
        20 => format!(
            "@{} mentioned #{} in {}/{}",
            dice.letters(6),
            dice.digits(5),
            dice.letters(5),
            dice.letters(7)
        ),
        21 => format!(
            "let x = {} * {} + {};",
            dice.digits(4),
            dice.digits(3),
            dice.digits(6)
        ),
        22 => format!(
            "Room {}, {} Main Street, {}",
            dice.digits(3),
            dice.between(1, 9999),
            dice.digits(5)
        ),
        23 => format!(
            "Mozilla/5.0 (X11; Linux x86_64) Chrome/{}.0.0.0 Safari/537.36",
            dice.between(80, 130)
        ),
        24 => format!("invoice {}-{}", 2000 + dice.below(30), dice.digits(6)),
        25 => format!(
            "weight {} kg, {} x {} x {} mm",
            dice.below(100),
            dice.below(1000),
            dice.below(1000),
            dice.below(1000)
        ),
        26 => "The quick brown fox jumps over the lazy dog; it's 5 o'clock somewhere.".to_owned(),
        _ => format!(
            "cargo add serde@1.0.{} tokio@1.{}.{}",
            dice.below(300),
            dice.below(60),
            dice.below(9)
        ),
    }
}

#[test]
fn clean_text_is_left_alone() {
    const COUNT: usize = 4000;
    let mut dice = Dice(7);
    let mut hit = Vec::new();
    for _ in 0..COUNT {
        let text = clean(&mut dice);
        let guarded = guarded(&text);
        if guarded != text {
            hit.push((text, guarded));
        }
    }
    let rate = hit.len() as f64 / COUNT as f64;
    hit.truncate(20);
    assert!(rate <= 0.025, "{:.1} % hit, such as {hit:#?}", rate * 100.0);
}
