//! Elements that stand in an order in which one can do nothing.

use gst::prelude::*;

/// An element, the one that gives it what it works on, and what that is.
const NEEDS: [(&str, &str, &str); 6] = [
    ("fertrack", "ferfacedetect", "faces"),
    ("ferexpression", "ferfacedetect", "faces"),
    ("fertranslate", "ferfacedetect", "faces"),
    ("feroverlay", "ferfacedetect", "faces"),
    ("fermeta", "ferfacedetect", "faces"),
    ("fersmooth", "ferexpression", "expressions"),
];

/// What is wrong with the order of a bin's elements: one stands before what gives it something to work on,
/// and has no other. Where none of ours gives it, somebody else's element may.
pub fn mistake(top: &gst::Element) -> Option<String> {
    let elements: Vec<_> = top.downcast_ref::<gst::Bin>()?.iterate_recurse().into_iter().flatten().collect();
    let called = |name: &'static str| elements.iter().filter(move |element| kind(element) == name);
    NEEDS.iter().find_map(|&(needy, giver, what)| {
        let is_behind = |element: &gst::Element| called(giver).any(|giver| leads_to(giver, element));
        let is_before = |element: &gst::Element| called(giver).any(|giver| leads_to(element, giver));
        let idle = called(needy).any(|element| is_before(element) && !is_behind(element));
        idle.then(|| {
            format!("`{needy}` stands before `{giver}`, whose {what} it works on: write `{giver} ! {needy}`")
        })
    })
}

fn kind(element: &gst::Element) -> String {
    element.factory().map(|factory| factory.name().to_string()).unwrap_or_default()
}

/// Whether buffers go from one element to the other, perhaps through others.
fn leads_to(from: &gst::Element, to: &gst::Element) -> bool {
    let mut reached = vec![from.clone()];
    let mut at = 0;
    while let Some(element) = reached.get(at) {
        let next: Vec<_> = element.src_pads().iter().filter_map(|pad| pad.peer()?.parent_element()).collect();
        if next.contains(to) {
            return true;
        }
        // Chains may lead back.
        let new: Vec<_> = next.into_iter().filter(|element| !reached.contains(element)).collect();
        reached.extend(new);
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use crate::stream::launch;

    #[test]
    fn an_element_before_what_gives_it_faces_is_refused_and_one_with_foreign_faces_is_not() {
        crate::stream::init().unwrap();
        let refused = |launch: &str| launch::parse("s", launch).err().map(|error| error.to_string());
        assert_eq!(
            refused("videotestsrc ! fertrack ! queue ! ferfacedetect ! fakesink").as_deref(),
            Some(
                "stream `s`: `fertrack` stands before `ferfacedetect`, whose faces it works on: write `ferfacedetect ! fertrack`"
            )
        );
        assert!(refused("videotestsrc ! ferfacedetect ! fersmooth ! ferexpression ! fakesink").is_some());
        for fine in [
            "videotestsrc ! ferfacedetect ! fertrack ! ferexpression ! fersmooth ! feroverlay ! fermeta ! fakesink",
            "videotestsrc ! ferexpression ! fertrack ! fakesink",
            "videotestsrc ! ferfacedetect ! feroverlay ! ferfacedetect ! fakesink",
            "videotestsrc ! tee name=t ! ferfacedetect ! fakesink t. ! fermeta ! fakesink",
        ] {
            assert_eq!(refused(fine), None, "{fine}");
        }
    }
}
