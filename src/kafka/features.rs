//! What the librdkafka that this program was built with can do.

use rdkafka::config::ClientConfig;

/// Tokens that it gets from an endpoint by itself (OpenID Connect): it was built with curl.
pub const OIDC: &str = "oidc";

/// Kerberos: it was built with Cyrus SASL.
pub const KERBEROS: &str = "sasl_gssapi";

/// Whether librdkafka was built with this feature, as its property `builtin.features` names it.
pub fn has(feature: &str) -> bool {
    let wanted = ClientConfig::new()
        .set("builtin.features", feature)
        .create_native_config();
    wanted.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_program_has_is_there() {
        for feature in [
            "ssl",
            "zstd",
            "sasl_plain",
            "sasl_scram",
            "sasl_oauthbearer",
        ] {
            assert!(has(feature), "{feature}");
        }
        assert!(has(OIDC), "librdkafka's configure did not find curl");
        assert!(!has("sasl_semaphore"));
    }
}
