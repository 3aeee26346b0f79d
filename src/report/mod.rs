//! Pages that a run leaves behind. Each is one file: styles and plots are inside, nothing is loaded from elsewhere.

pub mod cleaning;
pub mod detectors;
pub mod directory;
pub mod evaluation;
pub mod fidelity;
pub mod plot;
pub mod protocols;
pub mod training;

/// A number with its thousands apart.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
