//! Tells the plug-in which commit and day it was built from.

fn main() {
    gst_plugin_version_helper::info()
}
