#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| muleteer::fuzzing::run("completion_list", data));
