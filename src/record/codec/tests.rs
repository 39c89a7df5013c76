use super::super::internal::Barrier;
use super::super::writers::Answer;
use super::*;

fn barrier() -> Barrier {
    Barrier {
        nonce: "n".into(),
        transactional_id: "w".into(),
    }
}

fn number(kind: Kind, id: u32) -> Number {
    Number {
        kind,
        id,
        branch: None,
    }
}

/// What the registry has for a kind of ours.
fn ours(kind: Kind) -> Answer {
    let text = kind.schema_text();
    Answer::Schema(avro::writer(text, &[]).unwrap(), text.into())
}

fn registered() -> (Codec, Arc<WriterSchemas>) {
    let writers = Arc::new(WriterSchemas::default());
    let numbers = vec![number(Kind::Owner, 7)];
    let codec = Codec::registered(Format::Avro, numbers, writers.clone());
    (codec, writers)
}

#[test]
fn every_format_reads_what_it_writes() {
    let (avro, writers) = registered();
    writers.learn(7, ours(Kind::Owner));
    writers.learn(8, Answer::Schema(WriterSchema::Json, "{}".into()));
    let numbers = vec![number(Kind::Owner, 8)];
    let json = Codec::registered(Format::JsonSchema, numbers, writers);
    for codec in [
        Codec::default(),
        Codec::new(Format::AvroSingleObject),
        Codec::new(Format::Cbor),
        avro,
        json,
    ] {
        let octets = codec.write(&barrier()).unwrap();
        assert_eq!(
            codec.read_internal::<Barrier>(&octets).unwrap(),
            barrier(),
            "{codec:?}"
        );
        assert_eq!(codec.shown(&octets).unwrap()["nonce"], "n");
        assert_eq!(&*Codec::kept(&octets, &barrier()), b"\xC9\x82\x61n\x61w");
    }
}

#[test]
fn a_kind_in_the_union_of_its_topic_is_read_as_that_kind() {
    let writers = Arc::new(WriterSchemas::default());
    let (parked, barriers) = (Kind::Delivery.schema_text(), Kind::Owner.schema_text());
    let union = format!("[{parked},{barriers}]");
    let answer = avro::writer(&union, &[]).unwrap();
    writers.learn(9, Answer::Schema(answer, union.into()));
    let numbers = vec![Number {
        branch: Some(1),
        ..number(Kind::Owner, 9)
    }];
    let codec = Codec::registered(Format::Avro, numbers, writers);
    let octets = codec.write(&barrier()).unwrap();
    assert_eq!(octets[..6], [0, 0, 0, 0, 9, 2]);
    assert_eq!(codec.read::<Barrier>(&octets).unwrap(), barrier());
    let error = codec.read::<Barrier>(&[0, 0, 0, 0, 9, 4]).unwrap_err();
    assert!(
        error.to_string().contains("without such a branch"),
        "{error}"
    );
}

#[test]
fn a_schema_that_is_not_here_is_waited_for_and_an_unknown_one_is_not() {
    let (codec, writers) = registered();
    let octets = codec.write(&barrier()).unwrap();
    assert_eq!(octets[..5], [0, 0, 0, 0, 7]);
    assert!(matches!(
        codec.read::<Barrier>(&octets),
        Err(Unread::Wait(_))
    ));
    writers.learn(7, Answer::Nothing);
    assert!(matches!(
        codec.read::<Barrier>(&octets),
        Err(Unread::Wait(_))
    ));
    writers.learn(7, Answer::Nothing);
    let error = codec.read::<Barrier>(&octets).unwrap_err();
    assert!(error.to_string().contains("no schema 7"), "{error}");
    let error = codec.read::<Barrier>(b"{}").unwrap_err();
    assert!(error.to_string().contains("octet 0"), "{error}");
}

#[test]
fn a_record_that_its_schema_does_not_read_is_wrong_only_if_the_schema_came_twice() {
    let writers = Arc::new(WriterSchemas::default());
    let codec = Codec::registered(Format::Avro, Vec::new(), writers.clone());
    writers.learn(7, ours(Kind::Owner));
    let octets = b"\0\0\0\0\x07\x02n";
    assert!(matches!(
        codec.read::<Barrier>(octets),
        Err(Unread::Wait(_))
    ));
    assert_eq!(writers.wanted(), [7]);
    writers.learn(7, ours(Kind::Owner));
    assert!(matches!(
        codec.read::<Barrier>(octets),
        Err(Unread::Invalid(_))
    ));
    let error = codec.outbound(octets).unwrap_err();
    assert!(error.to_string().contains("Owner is not what"), "{error}");
}

#[test]
fn a_value_that_smpp_does_not_allow_is_the_records_own_fault() {
    let writers = Arc::new(WriterSchemas::default());
    let codec = Codec::registered(Format::Avro, Vec::new(), writers.clone());
    let schema = r#"{"type":"record","name":"Sms","fields":[{"name":"max_resends","type":"int"},
        {"name":"destination","type":{"type":"record","name":"To","fields":[{"name":"number","type":"string"}]}}]}"#;
    let answer = avro::writer(schema, &[]).unwrap();
    writers.learn(7, Answer::Schema(answer, schema.into()));
    let error = codec.outbound(b"\0\0\0\0\x07\xD8\x04\x021").unwrap_err();
    assert!(matches!(error, Unread::Invalid(_)), "{error}");
    assert_eq!(writers.wanted(), [0u32; 0]);
}

#[test]
fn every_operation_goes_onto_its_topic_in_every_format() {
    for operation in super::super::outbound::Operation::ALL {
        let text = format!(
            r#"{{"type":"{}","log_id":"a","{}}}"#,
            operation.name(),
            match operation.name() {
                "SubmitMulti" => r#"destinations":["+1",{"list":"staff"}]"#,
                "SubmitSm" | "DataSm" => r#"destination":"+1""#,
                _ => r#"message_id":"7F""#,
            }
        );
        let before = json::outbound(text.as_bytes()).unwrap();
        for format in [Format::Json, Format::AvroSingleObject] {
            let codec = Codec::new(format);
            let octets = codec.from_json(text.as_bytes()).unwrap();
            let after = codec.outbound(&octets).unwrap();
            assert_eq!(format!("{after:?}"), format!("{before:?}"), "{format:?}");
        }
    }
}

#[test]
fn what_a_newer_version_wrote_waits_where_only_we_write() {
    let codec = Codec::new(Format::AvroSingleObject);
    let mut octets = codec.write(&barrier()).unwrap();
    assert_eq!(codec.read_internal::<Barrier>(&octets).unwrap(), barrier());
    octets[2] ^= 1;
    let error = codec.read_internal::<Barrier>(&octets).unwrap_err();
    assert!(
        matches!(&error, Unread::Wait(why) if why.contains("newer")),
        "{error}"
    );
    let error = codec.read::<Barrier>(&octets).unwrap_err();
    assert!(matches!(error, Unread::Invalid(_)), "{error}");
    for damaged in [&octets[..9], b"{}", &[]] {
        let error = codec.read_internal::<Barrier>(damaged).unwrap_err();
        assert!(matches!(error, Unread::Invalid(_)), "{error}");
    }
}
