//! Numbers as people read them.

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

/// A share as "69.2 %".
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// What there is in words; a dash for nothing.
pub fn or_dash<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), text)
}

/// A colour as style sheets have it.
pub fn rgb((red, green, blue): (u8, u8, u8)) -> String {
    format!("rgb({red},{green},{blue})")
}
