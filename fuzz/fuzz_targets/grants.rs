#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keyturn_fuzz::keeps_its_promise("grants", data));
