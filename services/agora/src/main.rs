//! The command `agora`. Everything is in the library, so that test executables can run it, too.

use std::process::ExitCode;

fn main() -> ExitCode {
    agora::main()
}
