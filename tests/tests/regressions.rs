//! What fuzzing found, one test each: the input is in the test's words, the rule in its name.

use page_tables::Geometry;

#[test]
fn a_part_far_outside_a_range_is_none() {
    let range = Geometry::IA32.range(0x1000_0000, 4).unwrap();
    // Its address would not fit in a word.
    assert_eq!(range.part(usize::MAX >> 12, 1), None);
    assert_eq!(range.part(usize::MAX, 1), None);
}
