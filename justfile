# Short names for what is done often. `just` lists them; each is one command that works without it.

_default:
    @just --list

# Formatter, linter and unit tests.
quick:
    scripts/test --quick

# Everything that CI runs.
test:
    scripts/test

# The whole market in a terminal, without a broker key.
demo:
    cargo run --bin sise -- demo

# Redis, simulated broker and daemon of their own until Ctrl-C.
try *arguments:
    scripts/try {{ arguments }}

# All benchmarks, or those that are named, each against its reference.
bench *names:
    scripts/bench {{ names }}

# Each parser under the fuzzer for so many seconds.
fuzz seconds="60":
    scripts/fuzz {{ seconds }}

# Licences, duplicates and advisories of all dependencies.
deny:
    cargo deny check

# The documentation of all crates.
docs:
    cargo doc --workspace --no-deps --open
