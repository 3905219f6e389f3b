# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Command lines of the scripts in bash, as options.py has them for those in Python: a mistake is told in a
# sentence that names the option and says what it takes. Sourced by lib.sh, never run.

# For a mistake in the command line.
usage_error() {
    say "$* (try --help)"
    exit 2
}

# spread_options WORD...: sets WORDS to the words, of which `--seed=5` becomes two; what stands behind `--`
# is somebody else's.
spread_options() {
    local word
    WORDS=()
    for word; do
        case $word in
            --) break ;;
            --*=*) WORDS+=("${word%%=*}" "${word#*=}") && shift ;;
            *) WORDS+=("$word") && shift ;;
        esac
    done
    WORDS+=("$@")
}

# take OPTION WHAT [VALUE...]: sets VALUE; WHAT is what the option takes, in words.
take() {
    (($# > 2)) || usage_error "$1 wants a value: it takes $2"
    VALUE=$3
}

# take_file OPTION [VALUE...]: sets VALUE to the path of a file that can be read.
take_file() {
    take "$1" "the path of a file" "${@:2}"
    [[ -r $VALUE && ! -d $VALUE ]] || usage_error "$1: cannot read $VALUE: it takes the path of a file"
}

# take_whole OPTION LEAST MOST [VALUE...]: sets VALUE to a whole number within limits.
take_whole() {
    local takes="a whole number from $2 to $3"
    take "$1" "$takes" "${@:4}"
    [[ $VALUE =~ ^(0|[1-9][0-9]{0,17})$ ]] || usage_error "$1: not a number: '$VALUE': it takes $takes"
    ((VALUE >= $2)) || usage_error "$1: $VALUE is too small: it takes $takes"
    ((VALUE <= $3)) || usage_error "$1: $VALUE is too large: it takes $takes"
}

# take_percentage OPTION [VALUE...]: sets VALUE, such as 2.5.
take_percentage() {
    local takes="a percentage, such as 3 or 2.5"
    take "$1" "$takes" "${@:2}"
    [[ $VALUE =~ ^[0-9]{1,4}(\.[0-9]{1,4})?$ ]] || usage_error "$1: not a percentage: '$VALUE': it takes $takes"
}

# take_arch [VALUE...]: chooses the architecture.
take_arch() {
    take --arch "ia32 or x86_64" "$@"
    choose_arch "$VALUE"
}
