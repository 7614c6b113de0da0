//! The command `agora`; everything is in the library, so that tests can be it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    agora::main()
}
