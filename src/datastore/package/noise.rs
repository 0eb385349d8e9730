//! Telling noise, which deflate would only copy at the cost of trying, from content.

use std::ops::Range;

/// What is judged as a whole.
const PIECE: usize = 32 << 10;
/// A look at the beginning of a piece, which nearly always settles it.
const GLANCE: usize = 4 << 10;
/// χ² of the counts of the 256 byte values against an even spread. Noise has 255 ± 23, and what is compressed already
/// somewhat more. At the upper bound a perfect code for single bytes would save 0.3 % of a piece. Below the lower one
/// bytes are spread too evenly for noise, as in a counter.
const NOISE: Range<u64> = 150..1000;

/// Cuts content into runs of noise (`true`) and of the rest.
pub(super) fn runs(content: &[u8]) -> Vec<(bool, &[u8])> {
    let mut runs = Vec::new();
    let (mut start, mut noisy) = (0, false);
    for (i, piece) in content.chunks(PIECE).enumerate() {
        let is_noise = is_noise(piece);
        if is_noise != noisy {
            runs.push((noisy, &content[start..i * PIECE]));
            (start, noisy) = (i * PIECE, is_noise);
        }
    }
    runs.push((noisy, &content[start..]));
    runs.retain(|(_, run)| !run.is_empty());
    runs
}

fn is_noise(piece: &[u8]) -> bool {
    piece.len() >= GLANCE
        && NOISE.contains(&chi_squared(&piece[..GLANCE]))
        && NOISE.contains(&chi_squared(piece))
}

fn chi_squared(bytes: &[u8]) -> u64 {
    // Several tables, because equal neighbours would wait for each other.
    let mut counts = [[0_u32; 256]; 4];
    for four in bytes.chunks(4) {
        for (table, &byte) in counts.iter_mut().zip(four) {
            table[usize::from(byte)] += 1;
        }
    }
    let sums = (0..256).map(|value| {
        counts
            .iter()
            .map(|table| u64::from(table[value]))
            .sum::<u64>()
    });
    let squares: u64 = sums.map(|count| count * count).sum();
    let size = bytes.len() as u64;
    // Sums of squares are at least size² / 256.
    (256 * squares / size).saturating_sub(size)
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    use super::*;

    fn noise(size: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(size).collect()
    }

    #[test]
    fn noise_is_found_between_text() {
        let text = b"for line in lines: print(line)\n".repeat(3 * PIECE / 31 + 1);
        let text = &text[..3 * PIECE];
        let noise = noise(2 * PIECE);
        let content = [text, &noise, text, b"end"].concat();
        let rest = [text, b"end"].concat();
        let found = runs(&content);
        assert_eq!(found.len(), 3);
        assert_eq!(found, [(false, text), (true, &noise), (false, &rest)]);
        assert_eq!(runs(b"x"), [(false, &b"x"[..])]);
        assert!(runs(b"").is_empty());
    }

    #[test]
    fn what_is_compressed_already_is_noise() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        let numbers: Vec<String> = noise(400_000).iter().map(u8::to_string).collect();
        gzip.write_all(numbers.concat().as_bytes()).unwrap();
        let packed = gzip.finish().unwrap();
        assert!(packed.len() > 4 * PIECE);
        assert!(is_noise(&packed[PIECE..2 * PIECE]));
    }

    #[test]
    fn even_counts_are_not_noise() {
        let counter: Vec<u8> = (0..PIECE).map(|i| i as u8).collect();
        let floats: Vec<u8> = (0..PIECE / 8)
            .flat_map(|i| f64::sqrt(i as f64).to_le_bytes())
            .collect();
        assert!(!is_noise(&counter));
        assert!(!is_noise(&floats));
        assert!(!is_noise(&noise(GLANCE - 1)));
    }
}
