//! `HEALTHCHECK` and its options.

use super::flags::{FlagKind, Flags};
use crate::ast::{Command, Healthcheck, InstructionKind, Word};
use crate::duration;
use crate::error::{ParseError, ParseErrorKind};
use crate::syntax::{Arguments, Statement};

/// Docker refuses shorter times than this many nanoseconds.
const MINIMUM: i64 = 1_000_000;

const FLAGS: &[(&str, FlagKind)] = &[
    ("interval", FlagKind::One),
    ("timeout", FlagKind::One),
    ("start-period", FlagKind::One),
    ("start-interval", FlagKind::One),
    ("retries", FlagKind::One),
];

pub(super) fn healthcheck(statement: Statement) -> Result<InstructionKind, ParseError> {
    let mut flags = Flags::read(&statement, FLAGS)?;
    let Arguments::Health(word, arguments) = statement.arguments else {
        return Err(super::missing_arguments(&statement));
    };
    let command = super::command_of(*arguments);
    match word.text.to_uppercase().as_str() {
        "NONE" if command.is_some() => Err(ParseError::new(
            statement.span,
            ParseErrorKind::HealthcheckNoneArguments,
        )),
        "NONE" => Ok(InstructionKind::Healthcheck(Healthcheck::None)),
        "CMD" => {
            let command = command
                .filter(|command| !matches!(command, Command::Exec(words) if words.is_empty()));
            let missing = || ParseError::new(word.span, ParseErrorKind::HealthcheckCommand);
            Ok(InstructionKind::Healthcheck(Healthcheck::Command {
                command: command.ok_or_else(missing)?,
                interval: interval(&mut flags, "interval")?,
                timeout: interval(&mut flags, "timeout")?,
                start_period: interval(&mut flags, "start-period")?,
                start_interval: interval(&mut flags, "start-interval")?,
                retries: retries(flags.one("retries"))?,
            }))
        }
        _ => Err(ParseError::new(
            word.span,
            ParseErrorKind::HealthcheckType { word: word.text },
        )),
    }
}

fn interval(flags: &mut Flags, flag: &'static str) -> Result<i64, ParseError> {
    let Some(word) = flags.one(flag) else {
        return Ok(0);
    };
    let flag = flag.to_owned();
    match duration::parse(&word.text) {
        None => Err(ParseError::new(
            word.span,
            ParseErrorKind::InvalidDuration {
                flag,
                value: word.text,
            },
        )),
        Some(time) if time != 0 && time < MINIMUM => Err(ParseError::new(
            word.span,
            ParseErrorKind::DurationTooShort { flag },
        )),
        Some(time) => Ok(time),
    }
}

fn retries(word: Option<Word>) -> Result<u32, ParseError> {
    let Some(word) = word else { return Ok(0) };
    let number = word
        .text
        .parse::<i32>()
        .ok()
        .and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| {
        ParseError::new(
            word.span,
            ParseErrorKind::InvalidRetries { value: word.text },
        )
    })
}
