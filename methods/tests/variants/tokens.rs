//! The token map: positions, the rows that variants ask for, and what is left when tokens are dropped, with padding anywhere.

use rave_methods::{QueryRows, Tokens};
use tch::{Device, Tensor};

use crate::sequences::Layout;

fn tokens(rows: &[&str]) -> Tokens {
    let Layout {
        visual,
        valid,
        prompts,
        ..
    } = Layout::of(rows);
    Tokens::new(&visual, Some(&valid), &prompts, Device::Cpu)
}

/// Flags as text, one mark a token.
fn flags(marks: &str) -> Vec<bool> {
    marks.chars().map(|mark| mark == '1').collect()
}

fn rows(index: &[i64], selected: &str) -> QueryRows {
    QueryRows {
        index: index.to_vec(),
        selected: flags(selected),
    }
}

fn of_tensor(tensor: &Tensor) -> Vec<bool> {
    Vec::try_from(tensor.flatten(0, -1)).unwrap()
}

#[test]
fn positions_count_real_tokens_wherever_padding_stands() {
    let tokens = tokens(&["tvvt|t..", "..tvt|tt", "tv|..ttt"]);
    assert_eq!(
        (tokens.batch(), tokens.stored(), tokens.new_tokens()),
        (3, 7, 7)
    );
    let valid = tokens.valid().iter().zip(tokens.positions());
    let real: Vec<i64> = valid
        .filter(|(valid, _)| **valid)
        .map(|(_, at)| *at)
        .collect();
    assert_eq!(real, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    assert_eq!(tokens.new_positions(), tokens.positions());
    assert_eq!(tokens.new_visual(), tokens.visual());
}

#[test]
fn rows_are_the_queries_that_their_names_say() {
    let tokens = tokens(&["tvvt|t..", "..tvt|tt", "vt|..ttt"]);
    assert_eq!(tokens.prompt_end(), rows(&[1, 3, 4], "010001100"));
    assert_eq!(
        tokens.answering(),
        rows(&[1, 3, 4, 5, 6], "011000011110111")
    );
    assert_eq!(
        tokens.text_after_visual(),
        rows(&[1, 3, 4, 5, 6], "011000011110111")
    );
    let alone = self::tokens(&["tvvt|t.."]).answering();
    assert!(alone.is_uniform() && !tokens.answering().is_uniform());
    let mask = tokens.prompt_end().mask(Device::Cpu).unwrap();
    assert_eq!(
        (mask.size(), of_tensor(&mask)),
        (vec![3, 1, 3, 1], flags("010001100"))
    );
}

/// Text between two pictures is after the first, and a picture's own tokens are never text.
#[test]
fn text_between_pictures_is_after_an_image() {
    let tokens = tokens(&["tvtvvtt|t", "tttttt|tt"]);
    assert_eq!(tokens.text_after_visual(), rows(&[2, 5, 6, 7], "11110000"));
    assert_eq!(
        of_tensor(&tokens.keys_before_image().unwrap()),
        flags("1000000000000000")
    );
}

#[test]
fn later_passes_go_on_where_the_sequence_stands() {
    let first = tokens(&["tvv|..", "tvvtt|"]);
    assert!(first.is_whole_prompt());
    let next = first
        .then_text()
        .then(&[false, true, false, false], &[true, true, true, false]);
    assert_eq!((next.stored(), next.new_tokens()), (8, 2));
    assert_eq!(next.new_positions(), [4, 5, 6, 7]);
    assert_eq!(next.new_visual(), flags("0100"));
    assert_eq!(next.visual(), flags("0110000101100000"));
    assert_eq!(next.valid(), flags("1110011111111110"));
    assert!(!next.is_whole_prompt());
    assert_eq!(next.prompt_end(), rows(&[], ""));
    assert_eq!(next.answering(), rows(&[0, 1], "1110"));
    // Of the new ones, the visual one is no text, and the last of the second sequence is padding.
    assert_eq!(next.text_after_visual(), rows(&[0], "11"));
}

#[test]
fn a_whole_prompt_begins_with_the_first_token_and_reaches_every_end() {
    let Layout { visual, valid, .. } = Layout::of(&["tvvtt", "..tvv"]);
    let whole = |prompts: &[i64]| {
        let tokens = Tokens::new(&visual, Some(&valid), prompts, Device::Cpu);
        tokens.is_whole_prompt()
    };
    assert!(whole(&[5, 3]) && whole(&[1, 1]));
    assert!(!whole(&[6, 3]), "part of the first prompt");
    assert!(!whole(&[5, 4]), "part of the second prompt");
}

#[test]
fn tensors_are_made_of_flags_only_where_a_flag_is_set() {
    let pictures = tokens(&["tv..", "tttt"]);
    let some = |tensor: Result<Option<&Tensor>, _>| {
        let tensor: Option<&Tensor> = tensor.map_err(|error: rave_methods::Error| error).unwrap();
        tensor.map(of_tensor)
    };
    assert_eq!(some(pictures.visual_keys()), Some(flags("01000000")));
    assert_eq!(some(pictures.visual_queries()), Some(flags("01000000")));
    assert_eq!(some(pictures.valid_keys()), Some(flags("11001111")));
    let decoding = pictures.then_text();
    assert_eq!(some(decoding.visual_keys()), Some(flags("0100000000")));
    assert_eq!(some(decoding.visual_queries()), None);
    let text = Tokens::new(&[false; 3], None, &[2], Device::Cpu);
    assert_eq!(some(text.visual_keys()), None);
    assert_eq!(some(text.valid_keys()), None);
}

#[test]
fn what_is_kept_keeps_its_place() {
    let tokens = tokens(&["tvvvt|t.", ".tvvvvt|"]);
    let kept = tokens.retain(&flags("11001111101011"));
    // t v t t of the first sequence; of the second t, the second visual token, and the last two.
    assert_eq!(kept.index, [0, 1, 4, 5, 8, 10, 12, 13]);
    assert_eq!(kept.tokens.visual(), flags("01000110"));
    assert_eq!(kept.tokens.positions(), [0, 1, 4, 5, 0, 2, 4, 5]);
    assert!(kept.tokens.is_whole_prompt());
    assert_eq!(kept.tokens.prompt_end(), rows(&[2, 3], "1001"));

    // Unequal numbers: the shorter is padded behind, and its next token goes on from its own last one.
    let kept = tokens.retain(&flags("10001101111111"));
    assert_eq!(kept.index[..3], [0, 4, 5]);
    assert_eq!(kept.tokens.valid(), flags("111000111111"));
    let next = kept.tokens.then_text();
    assert_eq!(next.new_positions(), [6, 6]);
    assert_eq!(next.valid(), flags("11100011111111"));
    assert_eq!(next.answering(), rows(&[0], "11"));
}

#[test]
fn rotary_places_go_on_past_the_largest_and_leave_the_order_alone() {
    let picture = [[1, 1, 1], [1, 1, 2], [1, 2, 1], [1, 2, 2]];
    let first = [
        [0; 3], picture[0], picture[1], picture[2], picture[3], [3; 3],
    ];
    let placed = tokens(&["tvvvvt|t", "ttt|...."]).with_rotary(&[&first, &[]]);
    let places = placed.new_rotary().unwrap();
    assert_eq!(places[..6], first);
    assert_eq!(places[6], [4; 3], "text goes on from past the largest");
    // A sequence that says nothing is text, and its padding takes no place.
    assert_eq!(places[7..10], [[0; 3], [1; 3], [2; 3]]);
    assert_eq!(places[10..], [[3; 3]; 4]);
    assert_eq!(placed.positions()[..7], [0, 1, 2, 3, 4, 5, 6]);
    let next = placed.then_text();
    assert_eq!(next.new_rotary(), Some(vec![[5; 3], [3; 3]]));
    assert_eq!(next.new_positions(), [7, 3]);

    // What is dropped takes its place along, and still counts for what follows.
    let tall = [[0; 3], [1, 1, 1], [1, 9, 1]];
    let kept = tokens(&["tvvt|"])
        .with_rotary(&[&tall])
        .retain(&flags("1101"));
    assert_eq!(
        kept.tokens.new_rotary(),
        Some(vec![[0; 3], [1; 3], [10; 3]])
    );
    assert_eq!(kept.tokens.then_text().new_rotary(), Some(vec![[11; 3]]));
    assert_eq!(tokens(&["tv|"]).new_rotary(), None);
}

#[test]
fn a_first_pass_is_cut_in_two_where_the_prompts_end_where_they_did() {
    let places = [[0; 3], [1, 1, 1], [1, 1, 2], [3; 3], [4; 3]];
    let whole = || tokens(&["tvvtt|", "tvvt|."]).with_rotary(&[&places, &places[..4]]);
    let (first, rest) = (whole().first(3), whole().after(3));
    assert_eq!((first.stored(), first.new_tokens()), (3, 3));
    assert_eq!((rest.stored(), rest.new_tokens()), (5, 2));
    assert_eq!(first.visual(), flags("011011"));
    assert_eq!(first.positions(), [0, 1, 2, 0, 1, 2]);
    assert_eq!(first.new_rotary().unwrap()[3..], places[..3]);
    assert_eq!(first.then_text().new_rotary(), Some(vec![[3; 3]; 2]));
    assert_eq!(rest.new_visual(), flags("0000"));
    assert_eq!(rest.visual(), whole().visual());
    assert_eq!(rest.new_positions(), [3, 4, 3, 4]);
    assert_eq!(
        rest.new_rotary().unwrap(),
        [places[3], places[4], places[3], places[4]]
    );
    assert_eq!(rest.then_text().new_positions(), [5, 4]);
    // No token of the beginning answers, and neither part is a whole prompt.
    assert!(first.prompt_end().index.is_empty() && first.answering().index.is_empty());
    assert!(whole().is_whole_prompt() && !first.is_whole_prompt() && !rest.is_whole_prompt());
    assert_eq!(rest.prompt_end(), rows(&[0, 1], "0110"));
    assert_eq!(rest.text_after_visual(), rows(&[0, 1], "1110"));
    assert!(rest.visual_queries().unwrap().is_none());
    assert_eq!(
        of_tensor(rest.valid_keys().unwrap().unwrap()),
        flags("1111111110")
    );
}
