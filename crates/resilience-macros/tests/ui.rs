//! Mistakes are told by the compiler, in words that help.

#[test]
fn mistakes_are_told_by_the_compiler() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
