//! Weights and pictures of the zoo from formulas that give the same bits as `tools/zoo_formula.py`: integers are hashed, and a
//! float comes from an exact conversion, one product and one sum.

use std::collections::BTreeMap;

use image::{Rgb, RgbImage};

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// FNV-1a, 64 bits.
fn fnv(name: &str) -> u64 {
    name.bytes().fold(0xCBF2_9CE4_8422_2325, |value, byte| {
        (value ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// The finaliser of splitmix64.
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The first `count` values of a tensor: `offset + spread * g`, where g is a sum of four 16-bit numbers about zero.
pub fn weights(seed: u64, name: &str, count: u64, spread: f32, offset: f32) -> Vec<f32> {
    let key = mixed(seed.wrapping_add(fnv(name)));
    let values = (1..=count).map(|index| {
        let drawn = mixed(key.wrapping_add(index.wrapping_mul(STEP)));
        let total: u64 = [0, 16, 32, 48]
            .iter()
            .map(|shift| (drawn >> shift) & 0xFFFF)
            .sum();
        let g = (total as i64 - 131_070) as f32 / 32_768.0;
        offset + spread * g
    });
    values.collect()
}

/// Picture `number` of the given width and height.
pub fn picture([number, width, height]: [u32; 3]) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let dark = (x / 16 + y / 8 + number).is_multiple_of(5);
        Rgb([0, 1, 2].map(|channel| {
            let slope = x * (1 + (number + channel) % 4) + y * (1 + (2 * number + 3 * channel) % 5);
            let value = (slope + (x ^ y) * channel) as u8;
            if dark { value >> 2 } else { value }
        }))
    })
}

/// One number for many floats: any other bit, or another order, gives another.
pub fn digest(values: &[f32]) -> String {
    let sum = values.iter().zip(1u64..).fold(0u64, |sum, (value, index)| {
        let bits = u64::from((value + 0.0).to_bits());
        sum.wrapping_add(mixed(bits.wrapping_add(index.wrapping_mul(STEP))))
    });
    format!("{sum:016x}")
}

/// Entries of which a name such as `layers.{0..27}.norm.weight` stands for one a number.
pub fn expanded<T: Clone>(entries: &BTreeMap<String, T>) -> BTreeMap<String, T> {
    let mut result = BTreeMap::new();
    for (name, value) in entries {
        let Some((front, rest)) = name.split_once('{') else {
            result.insert(name.clone(), value.clone());
            continue;
        };
        let (range, back) = rest.split_once('}').unwrap();
        let (first, last) = range.split_once("..").unwrap();
        for number in first.parse::<usize>().unwrap()..=last.parse().unwrap() {
            result.insert(format!("{front}{number}{back}"), value.clone());
        }
    }
    result
}
