use super::*;

#[test]
fn long_words_stand_alone_and_lines_after_the_first_are_indented() {
    let text = wrapped("one two three four averyveryverylongword five", 4, 16);
    assert_eq!(text, "one two\n    three four\n    averyveryverylongword\n    five");
    assert_eq!(wrapped("", 4, 16), "");
    assert_eq!(wrapped("    a: line of a file   as it is", 4, 16), "    a: line of a file   as it is");
}
