//! How far the token estimate is off, measured against OpenAI's vocabulary.

use mainstay_ai::tokens::estimate;

const SAMPLES: [(&str, &str); 7] = [
    ("prose", include_str!("samples/prose.txt")),
    ("german", include_str!("samples/german.txt")),
    ("code", include_str!("samples/code.txt")),
    ("data", include_str!("samples/data.txt")),
    ("chinese", include_str!("samples/chinese.txt")),
    ("russian", include_str!("samples/russian.txt")),
    ("mixed", include_str!("samples/mixed.txt")),
];

#[test]
fn the_estimate_is_rarely_too_low_and_never_far_too_high() {
    let vocabulary = tiktoken_rs::o200k_base().unwrap();
    let (mut estimated, mut counted) = (0, 0);
    let mut table = String::new();
    for (name, text) in SAMPLES {
        let (guess, truth) = (
            estimate(text),
            vocabulary.encode_ordinary(text).len() as u64,
        );
        let ratio = guess as f64 / truth as f64;
        table += &format!("{name}: {guess} for {truth}, {ratio:.2}\n");
        estimated += guess;
        counted += truth;
    }
    let overall = estimated as f64 / counted as f64;
    table += &format!("overall {overall:.2}");
    println!("{table}");
    for line in table.lines() {
        let ratio: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!((0.95..=1.8).contains(&ratio), "{table}");
    }
    assert!((1.0..=1.6).contains(&overall), "{table}");
}
