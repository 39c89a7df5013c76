//! Every key, with values that mean nothing, and what is said of each.

use toml::{Table, Value};

use super::*;

/// What every row begins with.
const BASE: &str = r#"
[kafka]
bootstrap_servers = "kafka:9092"
[[esme]]
name = "acme"
outbound = ["sms.outbound"]
hosts = ["smsc:2775"]
system_id = "acme"
"#;

/// What is set beside a value, so that it means nothing.
const LISTEN: &str = "http.listen = '127.0.0.1:0'";
const OUTBIND: &str = "esme.hosts = [] \nesme.outbind.listen = '0.0.0.0:2776'";
const REGISTRY: &str = "schema_registry.urls = ['https://registry.example.net']";

/// A key, a value in TOML, what else is set (keys and values, one a line), and what is said.
#[rustfmt::skip]
const ROWS: &[(&str, &str, &str, &str)] = &[
    ("shutdown_timeout", "'0s'", "", "from \"1ms\" to \"1d\""),
    ("shutdown_timeout", "'1s'", "", "longer than submit.revoke_drain (2s)"),
    ("shutdown_timeout", "'2d'", "", "from \"1ms\" to \"1d\""),
    ("shutdown_timeout", "15", "", "write"),
    ("shutdown_timeout", "'15'", "", "a number and its unit"),
    ("core_dumps", "'no'", "", "write true or false"),
    ("shutdown_timeout", "' '", "", "a number and its unit"),
    // Kafka.
    ("kafka.bootstrap_servers", "''", "", "name at least one broker"),
    ("kafka.bootstrap_servers", "' '", "", "name at least one broker"),
    ("kafka.bootstrap_servers", "'kafka:9092,'", "", "it is blank"),
    ("kafka.bootstrap_servers", "'kafka:9092,kafka:9092'", "", "once is enough"),
    ("kafka.bootstrap_servers", "'http://kafka:9092'", "", "no scheme"),
    ("kafka.bootstrap_servers", "'kafka:99999'", "", "\"99999\" is no port"),
    ("kafka.bootstrap_servers", "'[::1]:9092,[0:0::1]'", "", "once is enough"),
    ("kafka.bootstrap_servers", "'::1:9092'", "", "write \"[::1]:9092\""),
    ("kafka.bootstrap_servers", "'2001:db8::2775:9092'", "", "write \"[2001:db8::2775]:9092\""),
    ("kafka.bootstrap_servers", "'a:9092;b:9092'", "", "element of its own"),
    ("kafka.application_id", "''", "", "1 to 100 letters"),
    ("kafka.application_id", "'a b'", "", "1 to 100 letters"),
    ("kafka.instance_id", "' '", "", "or leave it out"),
    ("kafka.group_protocol", "'clasic'", "", "write one of: classic, consumer"),
    ("kafka.session_timeout", "'0s'", "", "from \"1s\" to \"30m\""),
    ("kafka.transaction_timeout", "'1h'", "", "from \"1s\" to \"15m\""),
    ("kafka.fetch_buffer", "0", "", "from \"1MiB\""),
    ("kafka.fetch_buffer", "'32MB'", "", "\"16MiB\""),
    ("kafka.produce_buffer", "'2GiB'", "", "to \"1GiB\""),
    ("kafka.produce_buffer", "-1", "", "cannot be negative"),
    ("kafka.properties", "{ 'acks' = 'all' }", "", "cannot be set: less than all"),
    ("kafka.properties", "{ 'sasl.mechansm' = 'PLAIN' }", "", "did you mean `sasl.mechanism`?"),
    ("kafka.properties", "{ 'topic.auto.offset.reset' = 'latest' }", "", "written without `topic.`"),
    ("kafka.properties", "{ 'security.protocol' = 'SSL_SASL' }", "", "write plaintext, ssl, sasl_plaintext or sasl_ssl"),
    ("kafka.properties", "{ 'sasl.password' = 'hush ' }", "", "ends with a blank"),
    ("kafka.properties", "{ 'socket.timeout.ms' = 'long' }", "", "refuses the value"),
    ("kafka.properties", "{ 'heartbeat.interval.ms' = 100 }", "", "it follows from kafka.session_timeout"),
    ("kafka.properties", "{ 'delivery.report.only.error' = true }", "", "cannot be set"),
    ("kafka.properties", "{ 'linger.ms' = 5, 'queue.buffering.max.ms' = 6 }", "", "the same as linger.ms"),
    ("kafka.properties", "{ 'max.poll.interval.ms' = 5000 }", "", "max.poll.interval.ms"),
    ("kafka.properties", "{ 'security.protocol' = 'ssl', 'ssl.ca.location' = '/nowhere/ca.pem' }", "", "makes no client"),
    ("kafka.properties", "{ 'max.in.flight' = 50 }", "", "max.in.flight"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER' }", "", "OAUTHBEARER needs a token"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER', 'sasl.oauthbearer.method' = 'OIDC2' }", "", "write oidc"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER', 'sasl.oauthbearer.method' = 'oidc' }", "", "name the token endpoint"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER', 'sasl.oauthbearer.method' = 'oidc', 'sasl.oauthbearer.token.endpoint.url' = 'login/token' }", "", "not an address"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER', 'sasl.oauthbearer.method' = 'oidc', 'sasl.oauthbearer.token.endpoint.url' = 'https://me:you@login/token' }", "", "must not hold a password"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER', 'sasl.oauthbearer.method' = 'oidc', 'sasl.oauthbearer.token.endpoint.url' = 'https://login.example.net/token' }", "", "who we are"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER', 'sasl.oauthbearer.method' = 'oidc', 'sasl.oauthbearer.token.endpoint.url' = 'https://login.example.net/token', 'sasl.oauthbearer.client.id' = 'sms' }", "", "the token endpoint asks for the secret of this client: name"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER', 'sasl.oauthbearer.method' = 'oidc', 'sasl.oauthbearer.token.endpoint.url' = 'https://login.example.net/token', 'sasl.oauthbearer.client.id' = 'sms', 'sasl.oauthbearer.client.secret' = 'hush', 'https.ca.location' = '/nowhere' }", "", "there is no such file"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER', 'sasl.oauthbearer.method' = 'oidc', 'sasl.oauthbearer.token.endpoint.url' = 'http://login.example.net/token', 'sasl.oauthbearer.client.id' = 'sms', 'sasl.oauthbearer.client.secret' = 'hush', 'https.ca.location' = 'probe' }", "", "it does nothing"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER', 'sasl.oauthbearer.method' = 'oidc', 'sasl.oauthbearer.token.endpoint.url' = 'https://login.example.net/token', 'sasl.oauthbearer.grant.type' = 'urn:ietf:params:oauth:grant-type:jwt-bearer' }", "", "has to be signed"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER', 'sasl.oauthbearer.method' = 'oidc', 'sasl.oauthbearer.token.endpoint.url' = 'https://login.example.net/token', 'sasl.oauthbearer.grant.type' = 'urn:ietf:params:oauth:grant-type:jwt-bearer', 'sasl.oauthbearer.assertion.file' = '/nowhere' }", "", "cannot be read"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER', 'sasl.oauthbearer.method' = 'oidc', 'sasl.oauthbearer.metadata.authentication.type' = 'azure_imds' }", "", "resource="),
    ("kafka.properties", "{ 'sasl.oauthbearer.method' = 'oidc' }", "", "it does nothing"),
    ("kafka.properties", "{ 'enable.sasl.oauthbearer.unsecure.jwt' = true }", "", "cannot be set"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'GSSAPI' }", "", "without Kerberos"),
    ("kafka.properties", "{ 'security.protocol' = 'sasl_ssl' }", "", "without Kerberos"),
    ("kafka.token.provider", "'filee'", "kafka.properties = { 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER' }", "write one of: file, aws_msk_iam"),
    ("kafka.token.provider", "'file'", "kafka.token.file = '/t'", "OAUTHBEARER"),
    ("kafka.token.provider", "'file'", "kafka.properties = { 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER' }", "kafka.token.file: name the file"),
    ("kafka.token.provider", "'aws_msk_iam'", "kafka.properties = { 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER' }", "kafka.token.region: name the region"),
    ("kafka.token.file", "'/t'", "", "say where tokens come from"),
    ("kafka.token.file", "''", "kafka.properties = { 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER' } \nkafka.token.provider = 'file'", "name the file"),
    ("kafka.token.lifetime", "'1s'", "kafka.properties = { 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER' } \nkafka.token.provider = 'file' \nkafka.token.file = '/t'", "from \"10s\""),
    ("kafka.token.region", "'EU west'", "kafka.properties = { 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER' } \nkafka.token.provider = 'aws_msk_iam'", "a region such as"),
    ("kafka.token.profile", "'sms'", "kafka.properties = { 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER' } \nkafka.token.provider = 'file' \nkafka.token.file = '/t'", "leave it out"),
    ("kafka.token.role_arn", "'sms'", "kafka.properties = { 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER' } \nkafka.token.provider = 'aws_msk_iam' \nkafka.token.region = 'eu-west-1'", "a role such as"),
    ("kafka.token.role_session_name", "'sms'", "kafka.properties = { 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER' } \nkafka.token.provider = 'aws_msk_iam' \nkafka.token.region = 'eu-west-1'", "set kafka.token.role_arn"),
    ("kafka.token.role_external_id", "'sms'", "kafka.properties = { 'security.protocol' = 'sasl_ssl', 'sasl.mechanism' = 'OAUTHBEARER' } \nkafka.token.provider = 'aws_msk_iam' \nkafka.token.region = 'eu-west-1'", "set kafka.token.role_arn"),
    ("kafka.property_files", "{ 'sasl.password' = '/nowhere' }", "", "cannot be read"),
    ("kafka.property_files", "{ 'group.id' = '/nowhere' }", "", "cannot be read"),
    ("kafka.property_files", "{ 'sasl.password' = '' }", "", "it is blank"),
    // Topics.
    ("topics.responses", "''", "", "1 to 249 letters"),
    ("topics.errors", "'a b'", "", "1 to 249 letters"),
    ("topics.receipts", "'..'", "", "1 to 249 letters"),
    ("topics.inbound", "'sms.outbound'", "", "each needs its own"),
    ("topics.control", "'no topic'", "", "not a topic's name"),
    ("topics.notifications", "'sms_outbound'", "", "Kafka takes '.' and '_' for the same"),
    ("topics.correlation", "'__consumer_offsets'", "", "a topic of Kafka's own"),
    ("topics.deliveries", "'sms.correlation'", "", "each needs its own"),
    ("topics.trace", "'sms.correlation'", "", "each needs its own"),
    ("topics.trace", "'a b'", "", "1 to 249 letters"),
    ("topics.status", "'sms.errors'", "", "each needs its own"),
    // Formats.
    ("formats.outbound", "'xml'", "", "write one of: json"),
    ("formats.outbound", "'avro'", "", "set schema_registry.urls"),
    ("formats.responses", "'JSON'", "", "write one of: json"),
    ("formats.errors", "''", "", "write one of: json"),
    ("formats.receipts", "'json_schema'", "", "set schema_registry.urls"),
    ("formats.inbound", "'avro'", "", "set schema_registry.urls"),
    ("formats.notifications", "'protobuf'", "", "write one of: json"),
    ("formats.correlation", "'aiosmpplib'", "", "nothing of the kind"),
    ("formats.deliveries", "'aiosmpplib'", "", "nothing of the kind"),
    ("formats.outbound", "'cbor'", "", "only the internal topics"),
    ("formats.notifications", "'cbor'", "", "only the internal topics"),
    // The registry.
    ("schema_registry.urls", "['registry:8081']", "", "https://registry.example.net"),
    ("schema_registry.urls", "['']", "", "https://registry.example.net"),
    ("schema_registry.urls", "['http://a', 'http://a']", "", "stands there twice"),
    ("schema_registry.username", "'me:you'", REGISTRY, "no colon"),
    ("schema_registry.username", "'me '", REGISTRY, "no blanks around it"),
    ("schema_registry.password", "'hush'", REGISTRY, "needs the user name"),
    ("schema_registry.password", "'hush '", REGISTRY, "ends with a blank"),
    ("schema_registry.password_file", "'/nowhere'", REGISTRY, "cannot be read"),
    ("schema_registry.password_file", "'/nowhere'", "schema_registry.password = 'hush'", "not both"),
    ("schema_registry.token", "'hu sh'", REGISTRY, "ASCII letters, digits and signs only"),
    ("schema_registry.token", "' hush'", REGISTRY, "begins with a blank"),
    ("schema_registry.token_file", "''", REGISTRY, "it is blank"),
    ("schema_registry.timeout", "'0s'", REGISTRY, "to \"1h\""),
    ("schema_registry.retry_max", "'0s'", REGISTRY, "to \"1d\""),
    ("schema_registry.subjects", "'topic'", REGISTRY, "write one of: topic_name"),
    ("schema_registry.auto_register", "'yes'", REGISTRY, "write true or false"),
    ("schema_registry.tls.ca_file", "'/nowhere'", REGISTRY, "there is no such file"),
    ("schema_registry.tls.certificate_file", "'/dev'", REGISTRY, "it is a directory"),
    ("schema_registry.tls.key_file", "'/nowhere'", REGISTRY, "there is no such file"),
    ("schema_registry.tls.verify", "1", REGISTRY, "write true or false"),
    // Events.
    ("cloud_events.enabled", "'on'", "", "write true or false"),
    ("cloud_events.source", "'a b'", "cloud_events.enabled = true", "without spaces"),
    ("cloud_events.source", "''", "cloud_events.enabled = true", "a URI reference"),
    ("cloud_events.source", "'/sms'", "", "set cloud_events.enabled = true"),
    // Submitting.
    ("submit.in_doubt", "'Resend'", "", "write one of: resend, report"),
    ("submit.max_resends", "101", "", "from 0 to 100"),
    ("submit.max_resends", "-1", "", "0 or more"),
    ("submit.message_deadline", "'0s'", "", "from \"1ms\" to \"366d\""),
    ("submit.retry_delay", "'0s'", "", "from \"1ms\" to \"1d\""),
    ("submit.retry_delay", "'2h'", "", "shorter than message_deadline (1h)"),
    ("submit.max_hold", "'2d'", "", "from \"0s\" to \"1d\""),
    ("submit.revoke_drain", "'10s'", "", "shorter than kafka.session_timeout"),
    ("submit.reserve_horizon", "'0s'", "", "from \"10ms\" to \"10s\""),
    ("submit.reserve_ahead", "1001", "", "from 0 to 1000"),
    ("submit.read_ahead", "20001", "", "from 100 to 20000"),
    ("submit.fetch_records", "0", "", "from 1 to 20000"),
    ("submit.fetch_octets", "'1KiB'", "", "from \"64KiB\""),
    ("submit.status", "{ ESME_RTHROTLED = 'retry' }", "", "ESME_RTHROTTLED"),
    ("submit.status", "{ ESME_RSYSERR = 'later' }", "", "write one of: throttle, retry, reject"),
    ("submit.status", "{ ESME_ROK = 'retry' }", "", "always a success"),
    ("submit.status", "{ ESME_RSYSERR = 'retry', '0x8' = 'reject' }", "", "stands there twice"),
    // Correlating.
    ("correlate.early_receipt_grace", "'0s'", "", "at least \"20s\""),
    ("correlate.final_retention", "'0s'", "", "from \"1ms\" to \"366d\""),
    ("correlate.receipt_ttl", "'10s'", "", "longer than early_receipt_grace"),
    ("correlate.receipt_ttl", "'9999d'", "", "to \"366d\""),
    ("inbound.reassembly_ttl", "'0s'", "", "from \"1ms\" to \"366d\""),
    ("inbound.buffer", "0", "", "from \"1MiB\""),
    ("inbound.answer_timeout", "'0s'", "", "from 2s to 10m"),
    ("inbound.answer_timeout", "'1999ms'", "", "from 2s to 10m"),
    ("inbound.reassembly_memory", "0", "", "from \"1MiB\""),
    // The log.
    ("log.level", "'inof'", "", "did you mean \"info\"?"),
    ("log.level", "''", "", "it is blank"),
    ("log.level", "'info,kafka_smp=debug'", "", "did you mean \"kafka_smpp\"?"),
    ("log.numbers", "'last3'", "", "write one of: full, last4, hash"),
    ("log.numbers_key", "'short'", "log.numbers = 'hash'", "at least 16 characters"),
    ("log.numbers_key", "'0123456789abcdef'", "", "set log.numbers = \"hash\""),
    ("privacy.numbers", "'last4'", "", "write one of: full, hash"),
    ("privacy.numbers", "'hash'", "", "the same in all processes"),
    ("privacy.numbers", "'hash'", "privacy.numbers_key = '0123456789abcdef'\nformats.receipts = 'aiosmpplib'", "which wants numbers"),
    ("privacy.numbers_key", "'short'", "privacy.numbers = 'hash'", "at least 16 characters"),
    ("privacy.numbers_key", "'0123456789abcdef'", "", "set privacy.numbers = \"hash\""),
    ("privacy.numbers_key_file", "'/nowhere'", "privacy.numbers = 'hash'", "cannot be read"),
    ("log.numbers_key_file", "'/nowhere'", "log.numbers = 'hash'", "cannot be read"),
    ("log.format", "'jsn'", "", "write one of: auto, text, json"),
    ("trace.sample", "1.5", "", "a share, between 0.0 and 1.0"),
    ("trace.sample", "-0.1", "", "a share, between 0.0 and 1.0"),
    ("trace.commands", "['submit']", "", "did you mean \"submit_sm\"?"),
    ("trace.commands", "['submit_sm_resp']", "", "an answer comes with its request"),
    ("trace.texts", "'no'", "", "write true or false"),
    ("trace.numbers", "'none'", "", "write one of: full, last4"),
    ("otel.endpoint", "'collector:4318'", "", "not an address"),
    ("otel.endpoint", "'http://me:hush@collector:4318'", "", "must not hold a password"),
    ("otel.sample", "2", "", "a share, between 0.0 and 1.0"),
    ("otel.headers", "{ 'a b' = 'c' }", "", "not a header of HTTP"),
    ("otel.service_name", "4", "", "write a text"),
    ("log.flight_recorder", "10001", "", "from 0 to 10000"),
    ("log.flight_recorder", "-1", "", "write a whole number"),
    // An ESME.
    ("esme.name", "''", "", "every ESME needs a name"),
    ("esme.name", "'a b'", "", "1 to 100 letters"),
    ("esme.outbound", "[]", "", "name its outbound topics"),
    ("esme.outbound", "['']", "", "1 to 249 letters"),
    ("esme.outbound", "['a', 'a']", "", "each needs its own"),
    ("esme.outbound", "'sms.outbound'", "", "write a list"),
    ("esme.lease_topic", "'sms.lease'", "", "only for bind = \"receiver\""),
    ("esme.lease_topic", "' '", "esme.bind = 'receiver'\nesme.outbound = []", "1 to 249 letters"),
    ("esme.hosts", "[]", "", "name the SMSC"),
    ("esme.hosts", "['smsc']", "", "write such as \"smsc:2775\""),
    ("esme.hosts", "['::1:2775']", "", "write \"[::1]:2775\""),
    ("esme.hosts", "['smsc:2775', 'SMSC:2775']", "", "stands there twice"),
    ("esme.hosts", "['[::1]:2775', '[0:0::1]:02775']", "", "stands there twice"),
    ("esme.hosts", "['fe80::1%eth0:2775']", "", "write \"[fe80::1%eth0]:2775\""),
    ("esme.hosts", "['[fe80::1%]:2775']", "", "brackets stand around"),
    ("esme.hosts", "['[fe80::1%0]:2775']", "", "is no network interface"),
    ("esme.hosts", "['[fe80::1%99999999999]:2775']", "", "is no network interface"),
    ("esme.hosts", "['[fe80::1]:2775']", "", "such as \"[fe80::1%eth0]:2775\""),
    ("esme.hosts", "['[fe80::1%2]:2775', '[FE80:0::1%2]:2775']", "", "stands there twice"),
    ("esme.outbind.listen", "'[fe80::1]:2776'", "esme.hosts = []", "such as \"[fe80::1%eth0]:2776\""),
    ("esme.outbind.listen", "'fe80::1%2:2776'", "esme.hosts = []", "write \"[fe80::1%2]:2776\""),
    ("esme.outbind.listen", "'2776'", "esme.hosts = []", "write such as \"2776:2775\""),
    ("esme.outbind.listen", "'*:2776'", "esme.hosts = []", "\"0.0.0.0\""),
    ("esme.outbind.system_id", "'smsc'", "", "outbind.listen: name the address"),
    ("esme.outbind.system_id", "'sixteen-letters-'", OUTBIND, "at most 15 ASCII characters; it has 16"),
    ("esme.outbind.password", "'longer-than-8'", OUTBIND, "this one has 13"),
    ("esme.outbind.password", "'paß'", OUTBIND, "character 3 is not ASCII"),
    ("esme.outbind.password_file", "'/nowhere'", OUTBIND, "cannot be read"),
    ("esme.outbind.from", "['192.0.2.0/24']", OUTBIND, "IP address"),
    ("esme.outbind.from", "['192.0.2.7', '192.0.2.7']", OUTBIND, "stands there twice"),
    ("esme.outbind.from", "['192.0.2.7']", "", "outbind.listen: name the address"),
    ("esme.outbind.certificate_file", "'/nowhere'", OUTBIND, "there is no such file"),
    ("esme.outbind.key_file", "'/nowhere'", OUTBIND, "set together"),
    ("esme.outbind.client_ca_file", "'/nowhere'", OUTBIND, "connections are not encrypted"),
    ("http.listen", "'9464'", "", "not an address"),
    ("http.listen", "'*:9464'", "", "\"0.0.0.0\""),
    ("http.hosts", "['sms.example.net']", "", "http.listen: name the address"),
    ("http.hosts", "['https://sms.example.net']", LISTEN, "without scheme and port"),
    ("http.hosts", "['']", LISTEN, "not a name"),
    ("http.hosts", "['a.b', 'a.b']", LISTEN, "stands there twice"),
    ("http.token", "'0123456789abcdef'", "", "http.listen: name the address"),
    ("http.token", "'too short'", LISTEN, "at least 16 characters"),
    ("http.token", "'0123456789 abcdef'", LISTEN, "without spaces"),
    ("http.token_file", "'/nowhere'", LISTEN, "cannot be read"),
    ("http.certificate_file", "'/nowhere'", LISTEN, "there is no such file"),
    ("http.key_file", "'/nowhere'", LISTEN, "set together"),
    ("esme.system_id", "''", "", "the account's name with the SMSC is missing"),
    ("esme.system_id", "'acme '", "", "it ends with a blank"),
    ("esme.system_id", "'sixteen-letters-'", "", "at most 15 ASCII characters; it has 16"),
    ("esme.system_id", "'äcme'", "", "character 1 is not ASCII"),
    ("esme.password", "'pa ss\"ö'", "", "character 7 is not ASCII"),
    ("esme.password", "'hush '", "", "the password ends with a blank"),
    ("esme.password", "' hush'", "", "the password begins with a blank"),
    ("esme.password", "\"hu\\tsh\"", "", "character 3 is a control character"),
    ("esme.password", "'longer-than-8'", "", "this one has 13. If the SMSC takes longer ones"),
    ("esme.password", "1234", "", "write"),
    ("esme.password_file", "'/nowhere'", "", "cannot be read"),
    ("esme.password_file", "'/nowhere'", "esme.password = 'hush'", "not both"),
    ("esme.password_file", "''", "", "it is blank"),
    ("esme.long_password", "'yes'", "", "write true or false"),
    ("esme.system_type", "'thirteen-long'", "", "at most 12 ASCII characters"),
    ("esme.system_type", "' '", "", "it ends with a blank"),
    ("esme.interface_version", "'3.5'", "", "write one of: 3.3, 3.4, 5.0"),
    ("esme.interface_version", "3.4", "", "write"),
    ("esme.addr_ton", "256", "", "from 0 to 255"),
    ("esme.addr_npi", "-1", "", "from 0 to 255"),
    ("esme.address_range", "'№'", "", "character 1 is not ASCII"),
    ("esme.bind", "'tranceiver'", "", "write one of: transceiver"),
    ("esme.bind", "'receiver'", "", "a receiver sends nothing"),
    ("esme.binds", "{ per_partition = 0 }", "", "at least 1"),
    ("esme.binds", "{ per_instance = 11 }", "", "more than max_binds (10)"),
    ("esme.binds", "{ per_topic = 1 }", "", "write one of: per_partition, per_instance"),
    ("esme.max_binds", "0", "", "from 1 to 100000"),
    ("esme.max_binds", "1", "esme.bind = 'pair'", "makes 2 sessions, more than max_binds (1)"),
    ("esme.window", "0", "", "from 1 to 10000"),
    ("esme.slow_start", "0", "", "from 1 to 10000"),
    ("esme.slow_start", "200", "", "more than window (100)"),
    ("esme.inbound_window", "-1", "", "a whole number, 0 or more"),
    ("esme.refusal_status", "'ESME_ROK'", "", "the name or number of an error"),
    ("esme.refusal_status", "''", "", "the name or number of an error"),
    ("esme.max_tps", "-1.0", "", "0 for no limit"),
    ("esme.max_tps", "nan", "", "0 for no limit"),
    ("esme.max_tps_per_bind", "inf", "", "0 for no limit"),
    ("esme.max_tps_per_bind", "200", "esme.max_tps = 100", "more than the whole account may send: max_tps is 100"),
    ("esme.message_id.response", "'hexadecimal'", "", "write one of: text"),
    ("esme.message_id.receipt", "''", "", "write one of: text"),
    ("esme.message_id.receipted_message_id", "'dec'", "", "write one of: text"),
    ("esme.message_id.prefixes", "['']", "", "an empty prefix changes nothing"),
    ("esme.message_id.prefixes", "['A', 'A']", "", "stands there twice"),
    ("esme.message_id.until", "''", "", "or leave it out"),
    ("esme.message_id.response_digits", "'last 0'", "", "\"last 8\""),
    ("esme.message_id.receipt_digits", "'8'", "", "\"last 8\""),
    ("esme.receipt.pattern", "''", "", "no group id"),
    ("esme.receipt.states", "{ OK = 'FINE' }", "", "no state of a message"),
    ("esme.receipt.states", "{ '' = 'DELIVERED' }", "", "write the SMSC's word"),
    ("esme.receipt.unmarked", "'no'", "", "write true or false"),
    ("esme.vendor.tlvs", "{ a = '0x12345' }", "", "two octets"),
    ("esme.vendor.tlvs", "{ a = 'x' }", "", "is not a number such as"),
    ("esme.vendor.command_status", "{ X = 8 }", "", "ESME_RSYSERR"),
    ("esme.source", "''", "", "or leave it out"),
    ("esme.source", "'   '", "", "is blank"),
    ("esme.source", "'ACMÉ'", "", "printable ASCII"),
    ("esme.source_ton", "5", "", "it is about source, which is not set"),
    ("esme.source_npi", "1", "", "it is about source, which is not set"),
    ("esme.source_npi", "300", "esme.source = 'ACME'", "from 0 to 255"),
    ("esme.service_type", "'TOOLONG'", "", "at most 5 ASCII characters; it has 7"),
    ("esme.registered_delivery", "32", "", "from 0 to 31"),
    ("esme.alphabet", "'ebcdic'", "", "not an alphabet of data_coding 0"),
    ("esme.alphabet", "''", "", "not an alphabet of data_coding 0"),
    ("esme.alphabet_file", "'/nowhere'", "", "cannot be read"),
    ("esme.encoding", "'utf9'", "", "is no encoding"),
    ("esme.languages", "['klingon']", "", "such as \"turkish\""),
    ("esme.languages", "['turkish', 'turkish']", "", "stands there twice"),
    ("esme.segmentation.method", "'udh'", "", "write one of: auto"),
    ("esme.segmentation.method", "'sar'", "esme.interface_version = '3.3'", "no optional parameters"),
    ("esme.segmentation.max_parts", "0", "", "from 1 to 255"),
    ("esme.segmentation.on_too_long", "'cut'", "", "write one of: reject, truncate"),
    ("esme.local_address", "['smsc']", "", "not an IP address"),
    ("esme.local_address", "['192.0.2.7:2775']", "", "without a port"),
    ("esme.local_address", "['0.0.0.0']", "", "leave it out"),
    ("esme.local_address", "['fe80::1']", "", "\"fe80::1%eth0\""),
    ("esme.local_address", "['192.0.2.7', '::ffff:192.0.2.8']", "", "a second address of IPv4"),
    ("esme.local_address", "['192.0.2.7']", OUTBIND, "the SMSC connects to outbind.listen"),
    ("esme.hosts", "['smsc:2775', '[2001:db8::1]:2775']", "esme.local_address = ['192.0.2.7']", "local_address has none of that kind"),
    ("esme.tcp.keep_alive_idle", "'10h'", "", "from \"1s\" to \"9h6m7s\""),
    ("esme.tcp.keep_alive_idle", "'500ms'", "", "from \"1s\" to \"9h6m7s\""),
    ("esme.tcp.keep_alive_interval", "'0s'", "", "from \"1s\" to \"9h6m7s\""),
    ("esme.tcp.keep_alive_count", "0", "", "from 1 to 127"),
    ("esme.tcp.user_timeout", "'2d'", "", "from \"1s\" to \"1d\""),
    ("esme.timers.session_init", "'0s'", "", "from \"1ms\" to \"1d\""),
    ("esme.timers.enquire_link", "'2d'", "", "from \"0s\" to \"1d\""),
    ("esme.timers.inactivity", "'5s'", "", "shorter than timers.response (10s)"),
    ("esme.timers.response", "'0s'", "", "from \"1ms\" to \"1d\""),
    ("esme.timers.read", "'0s'", "", "from \"1ms\" to \"1d\""),
    ("esme.reconnect.initial", "'0s'", "", "from \"1ms\" to \"1d\""),
    ("esme.reconnect.initial", "'2m'", "", "must not be shorter than reconnect.initial"),
    ("esme.reconnect.max", "'0s'", "", "from \"1ms\" to \"1d\""),
    ("esme.reconnect.refused", "'0s'", "", "from \"1ms\" to \"1d\""),
    ("esme.reconnect.return_to_first", "'2d'", "", "from \"0s\" to \"1d\""),
    ("esme.reconnect.bound_elsewhere", "'0s'", "", "from \"1ms\" to \"1d\""),
    ("esme.tls.enabled", "'true'", "", "write true or false"),
    ("esme.tls.ca_file", "'/nowhere'", "esme.tls.enabled = true", "there is no such file"),
    ("esme.tls.ca_file", "'/dev/null'", "", "set tls.enabled = true"),
    ("esme.tls.certificate_file", "'/dev/null'", "esme.tls.enabled = true", "there is no such file"),
    ("esme.tls.key_file", "''", "esme.tls.enabled = true", "name a file, or leave it out"),
    ("esme.tls.server_name", "'smsc'", "", "set tls.enabled = true"),
    ("esme.tls.server_name", "'a b'", "esme.tls.enabled = true", "neither a host's name nor"),
    ("esme.tls.verify", "0", "", "write true or false"),
];

fn set(root: &mut Table, key: &str, value: &str) {
    let value: Table = format!("value = {value}").parse().unwrap();
    let mut steps: Vec<&str> = key.split('.').collect();
    let last = steps.pop().unwrap();
    let mut table = root;
    for step in steps {
        let inner = table.entry(step).or_insert_with(|| Table::new().into());
        table = match inner {
            Value::Array(list) => list[0].as_table_mut().unwrap(),
            Value::Table(table) => table,
            other => panic!("{key}: {other}"),
        };
    }
    table.insert(last.to_owned(), value["value"].clone());
}

#[test]
fn every_value_that_means_nothing_is_an_error_that_names_its_key() {
    let mut wrong = Vec::new();
    for (key, value, beside, said) in ROWS {
        let mut root: Table = BASE.parse().unwrap();
        set(&mut root, key, value);
        for line in beside.lines() {
            let (key, value) = line.split_once(" = ").unwrap();
            set(&mut root, key, value);
        }
        let told = match read(&root.to_string(), &[]) {
            Ok(_) => vec!["it was taken".to_owned()],
            Err(told) => told,
        };
        let (_, last) = key.rsplit_once('.').unwrap_or(("", key));
        let fits = |line: &String| {
            // Some errors are those of another key, which is then named.
            let named = line.contains(last) || said.contains(": name");
            named && line.contains(said) && !line.contains("hush")
        };
        if !told.iter().any(fits) {
            wrong.push(format!("{key} = {value}: {said:?} should be in {told:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is said of the configuration with this value.
pub(super) fn told_of(key: &str, value: &str) -> String {
    let mut root: Table = BASE.parse().unwrap();
    set(&mut root, key, value);
    let told = read(&root.to_string(), &[]).err().unwrap_or_default();
    let (_, last) = key.rsplit_once('.').unwrap_or(("", key));
    let of_it = told.into_iter().filter(|line| line.contains(last));
    of_it.collect::<Vec<_>>().join("\n").replace('"', "")
}

#[test]
fn a_number_is_checked_by_the_bounds_that_its_schema_names() {
    let mut checked = Vec::new();
    for (path, schema) in super::super::example::leaves() {
        let (Some(least), Some(most)) = (schema["minimum"].as_u64(), schema["maximum"].as_u64())
        else {
            continue;
        };
        if (least, most) == (0, 255) {
            // An octet: its type has these bounds.
            continue;
        }
        let (key, text) = (path.join("."), format!("from {least} to {most}"));
        for (value, good) in [
            (i128::from(least), true),
            (i128::from(most), true),
            (i128::from(most) + 1, false),
            (i128::from(least) - 1, false),
        ] {
            let told = told_of(&key, &value.to_string());
            // What its type cannot hold is refused before.
            let refused = told.contains(&text) || told.contains("write a whole number");
            assert_eq!(!refused, good, "{key} = {value}: {told}");
        }
        checked.push(key);
    }
    let all = [
        "esme.max_binds",
        "esme.segmentation.max_parts",
        "esme.slow_start",
        "esme.tcp.keep_alive_count",
        "esme.window",
        "log.flight_recorder",
        "submit.fetch_records",
        "submit.max_resends",
        "submit.read_ahead",
        "submit.reserve_ahead",
    ];
    checked.sort_unstable();
    assert_eq!(checked, all);
}

#[test]
fn bounds_in_the_documentation_are_those_that_are_checked() {
    let bounds = regex::Regex::new(r"\b(\d\w*) to (\d\w*)[.:,]").unwrap();
    let mut seen = 0;
    for (path, schema) in super::super::example::leaves() {
        let documented = schema["description"].as_str().unwrap_or_default();
        for named in bounds.captures_iter(documented) {
            let (key, text) = (
                path.join("."),
                format!("from {} to {}", &named[1], &named[2]),
            );
            // Too small, too small for a time, too large, and too long.
            let told = ["0", "'0s'", "4000000000", "'999d'"].map(|value| told_of(&key, value));
            assert!(
                told.iter().any(|told| told.contains(&text)),
                "{key}: {text}: {told:#?}"
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 8, "they are found");
}

#[test]
fn no_key_is_left_out() {
    let missing: Vec<_> = super::super::example::keys()
        .into_iter()
        .map(|path| path.join("."))
        .filter(|key| !ROWS.iter().any(|(row, ..)| row == key))
        .collect();
    assert!(missing.is_empty(), "no row for {missing:#?}");
}

#[test]
fn the_base_of_all_rows_is_good() {
    read(BASE, &[]).unwrap();
}

#[test]
fn a_file_holds_a_secret_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    let path = file.display().to_string();
    for (octets, said) in [
        (&b""[..], "is empty"),
        (b"\n", "is empty"),
        (b"  \n", "ends with a blank"),
        (b"hush \n", "ends with a blank"),
        (b"hush\t", "ends with a blank"),
        (b" hush\r\n", "begins with a blank"),
        (b"hush\nhush\n", "several lines"),
        (b"\xef\xbb\xbfhush\n", "byte order mark"),
        (b"h\0u\0s\0h\0\xff\xfe", "not UTF-8"),
        ("hüsh".as_bytes(), "character 2 is not ASCII"),
    ] {
        std::fs::write(&file, octets).unwrap();
        for variable in [
            "KAFKA_SMPP__ESME__ACME__PASSWORD_FILE",
            "KAFKA_SMPP__KAFKA__PROPERTY_FILES__SASL_PASSWORD",
            "KAFKA_SMPP__SCHEMA_REGISTRY__TOKEN_FILE",
        ] {
            let is_smpp = variable.contains("ESME");
            if !is_smpp && said.contains("ASCII") {
                continue;
            }
            let told = told(BASE, &[(variable, &path)]).join("\n");
            let good = told.contains(said) && told.contains(variable) && !told.contains("hush");
            assert!(good, "{octets:?}: {told}");
        }
    }
    for good in ["hush", "hush\n", "hush\r\n", "hu sh\n"] {
        std::fs::write(&file, good).unwrap();
        let config = read(BASE, &[("KAFKA_SMPP__ESME__0__PASSWORD_FILE", &path)]).unwrap();
        let secret = config.esme[0].password.expose_secret();
        assert_eq!(secret, good.trim_end(), "{good:?}");
    }
}

#[test]
fn a_secret_stands_in_one_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "hush").unwrap();
    let path = file.display().to_string();
    let text = format!("{BASE}[kafka.properties]\n'sasl.password' = 'hush'\n")
        .replace(
            "[kafka]\n",
            "[kafka]\nproperty_files = { 'sasl.password' = 'X' }\n",
        )
        .replace("'X'", &format!("{path:?}"));
    let told = told(&text, &[]).join("\n");
    assert!(
        told.contains("not in both") && !told.contains("hush"),
        "{told}"
    );
    let empty = self::told(BASE, &[("KAFKA_SMPP__ESME__ACME__PASSWORD", "")]);
    assert!(empty[0].contains("it is empty"), "{empty:?}");
}

#[test]
fn a_variable_that_means_nothing_is_an_error_that_names_the_one_that_was_meant() {
    for (variable, said) in [
        (
            "KAFKA_SMPP_LOG_LEVEL",
            "did you mean KAFKA_SMPP__LOG__LEVEL?",
        ),
        (
            "KAFKA_SMPP__LOG_LEVEL",
            "did you mean KAFKA_SMPP__LOG__LEVEL?",
        ),
        (
            "KAFKASMPP__LOG__LEVEL",
            "did you mean KAFKA_SMPP__LOG__LEVEL?",
        ),
        (
            "kafka_smpp__log__level",
            "did you mean KAFKA_SMPP__LOG__LEVEL?",
        ),
        ("KAFKA_SMPP__LOG__LEVLE", "did you mean `level`?"),
        ("KAFKA_SMPP__CONFIG", "did you mean KAFKA_SMPP_CONFIG?"),
        ("KAFKA_SMPP_CONFIGS", "did you mean KAFKA_SMPP_CONFIG?"),
        (
            "KAFKA_SMPP__ESME__ACNE__PASSWORD",
            "did you mean KAFKA_SMPP__ESME__ACME__...?",
        ),
        ("KAFKA_SMPP__ESME__ZZZ__PASSWORD", "there are: acme"),
        (
            "KAFKA_SMPP__ESME_ACME__PASSWORD",
            "did you mean KAFKA_SMPP__ESME__ACME__PASSWORD?",
        ),
        ("KAFKA_SMPP__ESME__ACME", "write a table"),
        ("KAFKA_SMPP__", "no such key"),
        ("KAFKA_SMPP_ZZZ", "write KAFKA_SMPP__ and the key's path"),
    ] {
        let told = told(BASE, &[(variable, "x")]);
        let good = |line: &String| line.starts_with(variable) && line.contains(said);
        assert!(told.iter().any(good), "{variable}: {told:#?}");
        assert!(!told.iter().any(|line| line.contains(": : ")), "{told:#?}");
    }
    let twice = BASE.to_owned()
        + "[[esme]]\nname = 'a-b'\noutbound = ['o1']\nhosts = ['x:1']\nsystem_id = 'a'\n\
           [[esme]]\nname = 'a_b'\noutbound = ['o2']\nhosts = ['x:2']\nsystem_id = 'b'\n";
    let told = told(&twice, &[("KAFKA_SMPP__ESME__A_B__PASSWORD", "x")]);
    assert!(
        told[0].contains("write their numbers, 1 and 2"),
        "{told:#?}"
    );
    let services = [
        ("KAFKA_SMPP_SERVICE_HOST", "10.0.0.1"),
        ("KAFKA_SMPP_PORT", "tcp://10.0.0.1:2776"),
        ("KAFKA_SMPP_PORT_2776_TCP_ADDR", "10.0.0.1"),
    ];
    read(BASE, &services).unwrap();
}

#[test]
fn one_account_is_one_esme() {
    let with = |second: &str| {
        format!("{BASE}[[esme]]\nname = 'two'\nhosts = ['other:2775', 'SMSC:2775']\n{second}\n")
    };
    let same = "system_id = 'acme'\noutbound = ['sms.more']";
    let told = told(&with(same), &[]);
    assert!(
        told.len() == 1
            && told[0].contains("esme[1].system_id")
            && told[0].contains("Make one of them"),
        "{told:#?}"
    );
    let receiver = "system_id = 'acme'\nbind = 'receiver'\nlease_topic = 'sms.lease'";
    assert!(read(&with(receiver), &[]).is_err());
    let transmitter = [
        ("KAFKA_SMPP__ESME__0__BIND", "transmitter"),
        ("KAFKA_SMPP__ESME__0__REGISTERED_DELIVERY", "0"),
    ];
    for (second, env) in [
        ("system_id = 'acme2'\noutbound = ['sms.more']", &[][..]),
        (
            "system_id = 'acme'\nsystem_type = 'VMA'\noutbound = ['sms.more']",
            &[],
        ),
        (receiver, &transmitter),
    ] {
        read(&with(second), env).unwrap();
    }
    let listening = |listen: &str, n: u8| {
        format!(
            "[[esme]]\nname = 'l{n}'\nsystem_id = 'l{n}'\noutbound = ['l{n}']\noutbind.listen = '{listen}'\n"
        )
    };
    let both = |one, two| BASE.to_owned() + &listening(one, 1) + &listening(two, 2);
    assert!(read(&both("127.0.0.1:1", "0.0.0.0:1"), &[]).is_err());
    assert!(read(&both("127.0.0.1:1", "127.0.0.1:2"), &[]).is_ok());
    for (one, other, fit) in [
        ("[::1]:2776", "[0:0::1]:2776", false),
        ("[::1]:2776", "[::1]:02776", false),
        ("[::1]:2776", "[0::0]:2776", false),
        ("[::1]:2776", "[::2]:2776", true),
    ] {
        let taken = read(&both(one, other), &[]).is_ok();
        assert_eq!(taken, fit, "{one} and {other} to listen at");
    }
    for (one, other, differ) in [
        ("[::1]:2775", "[0:0::1]:2775", false),
        ("smsc:2776", "SMSC.:02776", false),
        ("smsc:2776", "smsc:2775", true),
    ] {
        let text = with(same).replace("'SMSC:2775'", &format!("'{other}'"));
        let hosts = [("KAFKA_SMPP__ESME__0__HOSTS", one)];
        let taken = read(&text, &hosts).is_ok();
        assert_eq!(taken, differ, "{one} and {other} of one account");
    }
}
