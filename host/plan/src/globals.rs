//! The scope above the first FROM: ARG instructions and the names that the builder predefines.
//!
//! Name                                  | Where it can be used
//! --------------------------------------|----------------------------------------------
//! ARG above FROM                        | FROM lines; in a stage once declared there
//! `TARGETPLATFORM` … `BUILDVARIANT`     | the same
//! `HTTP_PROXY` and its kin              | in every RUN, undeclared, outside of the cache key
//! `BUILDKIT_…`, `SOURCE_DATE_EPOCH`     | read by the builder; never reported as unused

use kiln_dockerfile::Span;
use kiln_dockerfile::ast::Arg;
use kiln_dockerfile::words::Expander;
use kiln_oci::Platform;

use crate::environment::Environment;
use crate::error::{PlanError, PlanErrorKind};
use crate::graph::PlanRequest;

/// Proxy settings, in the spelling that is compared without case.
const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// Names and values of the platforms and the target, as far as they have one.
pub(crate) fn predefined(request: &PlanRequest, target: &str) -> Environment {
    let mut environment = Environment::default();
    let mut set = |name: String, value: &str| {
        let value = request.build_args.get(&name).map_or(value, String::as_str);
        if !value.is_empty() {
            environment.set(&name, value);
        }
    };
    for (prefix, platform) in [
        ("BUILD", &request.build_platform),
        ("TARGET", &request.platform),
    ] {
        let Platform {
            os,
            architecture,
            variant,
        } = platform;
        set(format!("{prefix}PLATFORM"), &platform.to_string());
        set(format!("{prefix}OS"), os);
        set(format!("{prefix}ARCH"), architecture);
        set(
            format!("{prefix}VARIANT"),
            variant.as_deref().unwrap_or_default(),
        );
    }
    set(
        "TARGETSTAGE".to_owned(),
        if target.is_empty() { "default" } else { target },
    );
    environment
}

/// Adds one ARG instruction from above the first FROM.
pub(crate) fn declare(
    scope: &mut Environment,
    arg: &Arg,
    request: &PlanRequest,
    expander: &Expander,
) -> Result<(), PlanError> {
    if let Some(value) = request.build_args.get(&arg.name.text) {
        scope.set(&arg.name.text, value);
    } else if let Some(default) = &arg.default {
        let value = expand(expander, &default.text, default.span, scope)?;
        scope.set(&arg.name.text, &value);
    }
    Ok(())
}

/// Expands `word`, which stands at `span`.
pub(crate) fn expand(
    expander: &Expander,
    word: &str,
    span: Span,
    scope: &Environment,
) -> Result<String, PlanError> {
    let expansion = expander.expand(word, scope).map_err(|source| {
        PlanError::at(
            span,
            PlanErrorKind::Expand {
                word: word.to_owned(),
                source,
            },
        )
    })?;
    Ok(expansion.text)
}

/// The proxy settings among the build arguments, each in upper and lower case.
pub(crate) fn proxies(request: &PlanRequest) -> Vec<(String, String)> {
    let is_proxy = |name: &str| PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name));
    let given = request
        .build_args
        .iter()
        .filter(|(name, value)| is_proxy(name) && !value.is_empty());
    given
        .flat_map(|(name, value)| {
            [
                (name.to_uppercase(), value.clone()),
                (name.to_lowercase(), value.clone()),
            ]
        })
        .collect()
}

/// True for build arguments that need no ARG.
pub(crate) fn is_known(name: &str) -> bool {
    PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
        || name.starts_with("BUILDKIT_")
        || name == "SOURCE_DATE_EPOCH"
        || name == "TARGETSTAGE"
        || ["BUILD", "TARGET"].iter().any(|prefix| {
            let rest = name.strip_prefix(prefix);
            rest.is_some_and(|rest| matches!(rest, "PLATFORM" | "OS" | "ARCH" | "VARIANT"))
        })
}
