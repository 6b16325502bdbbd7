//! The pair comes up and one node owns.

#[test]
fn the_pair_comes_up() {
    if !lab::available() {
        return;
    }
    let pair = lab::pair::Pair::new().unwrap();
    if let Err(e) = pair.start_both().and_then(|()| pair.owned_by("a")) {
        panic!("{e}");
    }
}
