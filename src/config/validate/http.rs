//! What must hold of `[http]`.

use secrecy::ExposeSecret;

use super::Check;
use crate::codes;
use crate::config::Http;

/// Shorter ones can be guessed.
const SHORTEST: usize = 16;

pub(super) fn check(check: &mut Check<'_>, http: &Http) {
    let Http {
        listen,
        hosts,
        token,
        token_file,
        certificate_file,
        key_file,
    } = http;
    let token = token.expose_secret();
    let Some(listen) = listen else {
        let unused = !hosts.is_empty()
            || !token.is_empty()
            || token_file.is_some()
            || certificate_file.is_some()
            || key_file.is_some();
        if unused {
            let text = "name the address to listen on, such as \"127.0.0.1:9464\"";
            check.missing(codes::NEEDS_ANOTHER, "listen", text);
        }
        return;
    };
    check.listens("listen", listen);
    for (n, host) in hosts.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let good = !host.is_empty() && host.len() < 256 && host.chars().all(plain);
        let text = "not a name: write it without scheme and port, such as \"sms.example.net\"";
        let key = format!("hosts[{n}]");
        check.must(
            codes::ADDRESS_MALFORMED,
            good,
            &key,
            format_args!("{host:?}"),
            text,
        );
    }
    check.twice("hosts", hosts.iter().map(String::as_str));
    let key = if token_file.is_some() {
        "token_file"
    } else {
        "token"
    };
    if !token.is_empty() && token.len() < SHORTEST {
        let text = format!("at least {SHORTEST} characters, such as `openssl rand -hex 16` makes");
        check.missing(codes::OUT_OF_RANGE, key, &text);
    }
    if token.bytes().any(|octet| !(0x21..0x7f).contains(&octet)) {
        let text = "printable ASCII without spaces: it stands in a header";
        check.missing(codes::SECRET_MALFORMED, key, text);
    }
    if certificate_file.is_some() != key_file.is_some() {
        let text = "a certificate and its key are set together";
        check.missing(codes::NEEDS_ANOTHER, "key_file", text);
    }
    check.file("certificate_file", certificate_file);
    check.file("key_file", key_file);
}
