//! What the image processors of the LLaVA families share: padding to a square, cutting the middle out.
//!
//! Source: `transformers` 5.23 `image_processing_backends.py` (the Pillow backend), `image_transforms.py` and
//! `models/llava/image_processing_pil_llava.py`.

use image::{Rgb, RgbImage, imageops};
use rave_hints::refusal;

use crate::{Error, MAX_PIXELS};

/// The mean of the training pictures in 8 bits: what a square is filled up with.
pub(in crate::families) fn background(mean: [f64; 3]) -> Rgb<u8> {
    Rgb(mean.map(|mean| (mean * 255.0) as u8))
}

/// A square with the picture in its middle, and the picture's left and top edge in it.
///
/// # Errors
/// [`Error::Prompt`] when the square has more pixels than a picture may.
pub(in crate::families) fn square(
    picture: &RgbImage,
    background: Rgb<u8>,
) -> Result<(RgbImage, [u32; 2]), Error> {
    let (width, height) = picture.dimensions();
    let side = width.max(height);
    within_limit(picture, side, side)?;
    let origin = [(side - width) / 2, (side - height) / 2];
    let mut square = RgbImage::from_pixel(side, side, background);
    imageops::replace(
        &mut square,
        picture,
        i64::from(origin[0]),
        i64::from(origin[1]),
    );
    Ok((square, origin))
}

/// The middle of a picture, `side` x `side` pixels, black where there is no picture, and the picture's left and top edge in it.
pub(in crate::families) fn middle(picture: &RgbImage, side: u32) -> (RgbImage, [i64; 2]) {
    let origin = [picture.width(), picture.height()]
        .map(|length| -(i64::from(length) - i64::from(side)).div_euclid(2));
    let mut middle = RgbImage::new(side, side);
    imageops::replace(&mut middle, picture, origin[0], origin[1]);
    (middle, origin)
}

/// Refuses to make a picture of more pixels than [`MAX_PIXELS`] out of one that is very long and thin.
pub(in crate::families) fn within_limit(
    picture: &RgbImage,
    width: u32,
    height: u32,
) -> Result<(), Error> {
    if u64::from(width) * u64::from(height) <= MAX_PIXELS {
        return Ok(());
    }
    Err(Error::prompt(refusal(
        format!(
            "a picture of {} x {} pixels would be prepared as {width} x {height}, over the limit of {MAX_PIXELS} pixels",
            picture.width(),
            picture.height()
        ),
        "crop it",
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_odd_and_of_small_pictures_is_cut_as_in_the_source() {
        let picture = RgbImage::from_fn(5, 2, |x, y| Rgb([x as u8 + 1, y as u8 + 1, 7]));
        // Columns: (5 - 3) // 2 = 1 is the first; rows: (2 - 3) // 2 = -1, so one black row above.
        let (cut, origin) = middle(&picture, 3);
        assert_eq!(origin, [-1, 1]);
        assert_eq!(cut.get_pixel(0, 0).0, [0, 0, 0]);
        assert_eq!(cut.get_pixel(0, 1).0, [2, 1, 7]);
        assert_eq!(cut.get_pixel(2, 2).0, [4, 2, 7]);
    }

    #[test]
    fn a_square_is_as_wide_as_the_longer_side() {
        let picture = RgbImage::from_pixel(4, 1, Rgb([9; 3]));
        let (padded, origin) = square(&picture, Rgb([1, 2, 3])).expect("small enough");
        assert_eq!((padded.dimensions(), origin), ((4, 4), [0, 1]));
        assert_eq!(padded.get_pixel(3, 1).0, [9; 3]);
        assert_eq!(padded.get_pixel(0, 2).0, [1, 2, 3]);
        let error = square(&RgbImage::new(100_000, 1), Rgb([0; 3])).expect_err("too large");
        assert!(error.to_string().contains("100000 x 1"), "{error}");
    }
}
