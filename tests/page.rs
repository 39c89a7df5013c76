//! The page that the connector serves, in a headless Chromium, on a server that stands for a connector.
//! Where no Chromium is found these tests say so and end, unless CI or REQUIRE_CHROMIUM is set.

#![allow(clippy::expect_used, clippy::panic)]

#[path = "page/browser.rs"]
mod browser;
#[path = "page/fixtures.rs"]
mod fixtures;
#[path = "page/server.rs"]
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use browser::{Browser, browser};
use fixtures::Deployment;
use serde_json::{Value, json};
use server::{Server, TOKEN};
use thirtyfour::Key;

/// A telephone, a small window, a desk, and just wide enough for tables that are no cards.
const SIZES: [(u32, u32); 4] = [(360, 740), (800, 600), (1400, 900), (1385, 800)];

/// All that is served here, by name.
fn deployments() -> Vec<(&'static str, Deployment)> {
    vec![
        ("well", fixtures::well()),
        ("outage", fixtures::outage()),
        ("wrong", fixtures::wrong()),
        ("bare", fixtures::bare()),
        ("crowded", fixtures::crowded()),
        ("hostile", fixtures::hostile()),
        ("steered", fixtures::steered()),
    ]
}

/// A browser with a page of `deployment`, or none where there is no Chromium.
async fn page(test: &str, deployment: Deployment) -> Option<(Browser, Server)> {
    let browser = browser(test).await?;
    let server = Server::start(deployment).await;
    browser.look(SIZES[2], false).await;
    browser.open(&server.url()).await;
    Some((browser, server))
}

/// What stands outside the window, and text whose colour is too near to what is behind it.
const FAULTS: &str = r#"
const faults = [];
const { scrollWidth } = document.documentElement;
if (scrollWidth > innerWidth) faults.push(`the page is ${scrollWidth} wide`);
const hidden = (element) => element.closest('.unseen, thead, .skip') !== null;
for (const element of document.body.querySelectorAll('*')) {
  const box = element.getBoundingClientRect();
  if (box.width && box.right > innerWidth + 1 && !hidden(element)) faults.push(`${element.tagName} ${element.className} ends at ${box.right}`);
  if (element.clientWidth && element.scrollWidth > element.clientWidth + 1 && !hidden(element) && !element.closest('svg, select, input')) faults.push(`${element.tagName} ${element.innerText.slice(0, 40)} is wider than its place`);
}
const parts = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
const light = (colour) => {
  const [r, g, b] = colour.map((part) => part / 255).map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const [r, g, b, a = 1] = parts(getComputedStyle(at).backgroundColor);
    if (a === 1) return [r, g, b];
  }
  return [255, 255, 255];
};
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const element = walk.currentNode.parentElement;
  if (!walk.currentNode.data.trim() || !element.getClientRects().length || element.closest('svg, noscript, option')) continue;
  const [a, b] = [light(parts(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < 4.5) faults.push(`${walk.currentNode.data.slice(0, 40)}: contrast ${contrast.toFixed(2)}`);
}
if (document.querySelector('[style]')) faults.push('something has a style attribute');
return faults.slice(0, 10);
"#;

#[tokio::test(flavor = "multi_thread")]
async fn every_state_fits_every_size_in_light_and_dark() {
    let Some(browser) = browser("every_state_fits_every_size_in_light_and_dark").await else {
        return;
    };
    for (name, deployment) in deployments() {
        let server = Server::start(deployment).await;
        for dark in [false, true] {
            browser.look(SIZES[0], dark).await;
            browser.open(&server.url()).await;
            for size in SIZES {
                browser.look(size, dark).await;
                let faults = browser.run(FAULTS).await;
                assert_eq!(faults, json!([]), "{name}, {size:?}, dark: {dark}");
            }
        }
        let complaints = browser.complaints().await;
        assert!(complaints.is_empty(), "{name}: {complaints:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dialogs_fit_and_can_be_read() {
    let Some((browser, _server)) =
        page("the_dialogs_fit_and_can_be_read", fixtures::hostile()).await
    else {
        return;
    };
    sign_in(&browser, "Log level…").await;
    browser.until_text("Set the log level").await;
    browser.press(Key::Escape).await;
    let buttons = "return [...document.querySelectorAll('.actions button')].slice(0, 5).map(b => b.getAttribute('aria-label'))";
    for name in browser.run(buttons).await.as_array().expect("buttons") {
        for (size, dark) in [(SIZES[0], false), (SIZES[2], true)] {
            browser.look(size, dark).await;
            browser.click(name.as_str().expect("a name")).await;
            browser
                .until("return document.querySelector('dialog').open")
                .await;
            assert_eq!(browser.run(FAULTS).await, json!([]), "{name}, {size:?}");
            browser.press(Key::Escape).await;
            browser
                .until("return !document.querySelector('dialog').open")
                .await;
        }
    }
    assert!(browser.complaints().await.is_empty());
}

/// What the page says first: its headline, and the titles of what it found.
async fn headline(browser: &Browser) -> (String, Vec<String>) {
    let title = browser
        .run("return document.querySelector('h1').innerText")
        .await;
    let found = browser
        .run("return [...document.querySelectorAll('.findings h2')].map(h => h.innerText)")
        .await;
    let found = serde_json::from_value(found).expect("titles");
    (title.as_str().unwrap_or_default().to_owned(), found)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_first_and_worst_first() {
    let Some((browser, server)) = page(
        "what_is_wrong_is_said_first_and_worst_first",
        fixtures::wrong(),
    )
    .await
    else {
        return;
    };
    let (title, found) = headline(&browser).await;
    assert_eq!(title, "6 things are wrong, 7 to watch");
    assert_eq!(
        found,
        [
            "beta: none of 3 binds is bound, so nothing is sent",
            "acme: 1 partition stands still",
            "sms-connector-7d9c-q5k1d has gone silent",
            "acme: 4 of 6 binds not bound",
            "acme: 317,601 records wait, and more come than are sent",
            "sms-connector-7d9c-x2lqp is not ready",
            "acme: 5 partitions wait",
            "acme: the SMSC says that it is too much",
            "acme: the SMSC answers slowly",
            "acme: fewer messages are delivered",
            "sms-connector-7d9c-m0zrw has nearly all memory for records of outbound topics in use",
            "sms-connector-7d9c-m0zrw has not restored all of the correlation yet",
            "1 error in the log in the last 10 min",
        ]
    );
    let text = browser.text().await;
    for words in [
        "the SMSC answered bind_transceiver with ESME_RINVPASWD; tried again in 5 min",
        "compare system_id and password with what its operator says",
        "4 binds with smsc1.example.net:2775: cannot connect to smsc1.example.net:2775: Connection refused; tried again in 12 s",
        "sms.otp 5: an operator: the log ends below what was read of it",
        "Lag grows by",
        "238 MiB of 256 MiB (93.1 %)",
    ] {
        assert!(text.contains(words), "{words:?} is missing in\n{text}");
    }
    let tab = browser.run("return document.title").await;
    assert_eq!(
        tab,
        json!("✕ beta: none of 3 binds is bound, so nothing is sent · kafka-smpp")
    );
    // Then it is mended.
    server.served.lock().deployment = fixtures::well();
    browser
        .run("document.dispatchEvent(new Event('visibilitychange'))")
        .await;
    browser
        .until("return document.querySelectorAll('.findings li.wrong').length === 0")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_is_well_that_is_all_it_says() {
    let Some((browser, _server)) =
        page("when_all_is_well_that_is_all_it_says", fixtures::well()).await
    else {
        return;
    };
    assert_eq!(headline(&browser).await, ("All is well".into(), vec![]));
    let summary = browser
        .run("return document.querySelector('.summary').innerText")
        .await;
    let summary = summary.as_str().unwrap_or_default();
    assert!(
        summary.starts_with("3 processes · 9 of 9 binds bound · "),
        "{summary}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_asked_for_is_no_failure() {
    let Some((browser, _server)) = page(
        "what_operators_asked_for_is_no_failure",
        fixtures::steered(),
    )
    .await
    else {
        return;
    };
    let (title, found) = headline(&browser).await;
    assert_eq!(title, "Nothing is wrong, 2 to watch, 2 asked for");
    assert_eq!(found[..2], ["acme is paused", "acme: sms.bulk is paused"]);
    assert_eq!(found[2], "acme: limits are other than in the configuration");
    assert!(
        found[3].starts_with("beta: its SMSC is maintained until "),
        "{found:?}"
    );
    let text = browser.text().await;
    assert!(
        text.contains("campaign 4711 goes to the wrong numbers"),
        "{text}"
    );
    assert!(
        text.contains("max_tps is 200 instead of 600, the window of each bind is 20"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_grow_while_somebody_looks_are_said() {
    let Some((browser, server)) = page(
        "counters_that_grow_while_somebody_looks_are_said",
        fixtures::well(),
    )
    .await
    else {
        return;
    };
    {
        let mut served = server.served.lock();
        let process = &mut served.deployment.processes[1];
        process["esmes"][0]["binds"][0]["counts"]["in_doubt"] = json!(12);
        process["esmes"][0]["results"]["OUTCOME_UNKNOWN"] = json!(5);
        process["deliveries"]["counts"]["postponed"] = json!(40);
    }
    browser.until_text("acme: messages were in doubt").await;
    let text = browser.text().await;
    assert!(
        text.contains("12 requests were unanswered when a session ended"),
        "{text}"
    );
    assert!(
        text.contains("5 messages ended as OUTCOME_UNKNOWN"),
        "{text}"
    );
    assert!(
        text.contains("40 deliver_sm were answered with an error"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_still_is_said_by_what_it_is() {
    let mut all = fixtures::well();
    for sample in all.history["esmes"]["acme"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .skip(300)
    {
        (sample["results"], sample["receipts"]) = (json!(0.0), json!(0.0));
    }
    for sample in all.history["esmes"]["beta"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .skip(325)
    {
        (sample["receipts"], sample["delivered"]) = (json!(0.0), Value::Null);
    }
    all.processes[0]["esmes"][0]["partitions"][0]["lag"] = json!(70_000);
    all.processes[1]["live"] = json!({"live": false, "stuck": ["submit since 02:10:00"]});
    all.processes[2]["kafka"]["clients"][0]["brokers_up"] = json!(0);
    all.processes[2]["kafka"]["clients"][0]["brokers_down"] = json!(3);
    all.processes[2]["registry"] = json!({"missing": 2});
    let Some((browser, _server)) = page("what_stands_still_is_said_by_what_it_is", all).await
    else {
        return;
    };
    let (_, found) = headline(&browser).await;
    assert_eq!(
        found,
        [
            "sms-connector-7d9c-m0zrw cannot reach Kafka",
            "acme: 70,704 records wait and nothing moves",
            "sms-connector-7d9c-8hj4t makes no progress",
            "beta: receipts have stopped",
            "sms-connector-7d9c-m0zrw waits for schemas",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_so_of_many_processes_is_said_once() {
    let test = "what_is_so_of_many_processes_is_said_once";
    let mut all = fixtures::well();
    for process in &mut all.processes {
        process["ready"] = json!({"ready": false, "missing": ["Kafka does not answer"]});
        process["kafka"]["clients"][1]["brokers_up"] = json!(0);
        process["kafka"]["clients"][1]["brokers_down"] = json!(3);
    }
    let Some((browser, server)) = page(test, all).await else {
        return;
    };
    let (_, found) = headline(&browser).await;
    assert_eq!(
        found,
        [
            "3 processes cannot reach Kafka",
            "3 processes are not ready"
        ]
    );
    let text = browser.text().await;
    let words = "sms-connector-7d9c-8hj4t: Missing: Kafka does not answer";
    assert!(text.contains(words), "{text}");
    // Of many that differ, the first ones.
    let memory: Vec<_> = (0..20)
        .map(|at| json!({"name": format!("memory {at}"), "used": 99, "bound": 100}))
        .collect();
    server.served.lock().deployment.processes[0]["memory"] = json!(memory);
    browser
        .until("return document.querySelectorAll('.findings li').length === 15")
        .await;
    browser.click("Show all 22").await;
    let shown = browser.run("return document.querySelectorAll('.findings li').length");
    assert_eq!(shown.await, json!(22));
}

#[tokio::test(flavor = "multi_thread")]
async fn few_records_that_stand_still_are_said_and_those_that_wait_for_their_time_are_not() {
    let test = "few_records_that_stand_still_are_said_and_those_that_wait_for_their_time_are_not";
    let mut all = fixtures::well();
    let hour = &mut all.history["esmes"]["beta"];
    for sample in hour.as_array_mut().into_iter().flatten().skip(300) {
        (sample["results"], sample["lag"]) = (json!(0.0), json!(3));
    }
    for process in &mut all.processes {
        let partition = &mut process["esmes"][1]["partitions"][0];
        (partition["lag"], partition["unfinished"]) = (json!(1), json!(1));
    }
    let Some((browser, server)) = page(test, all).await else {
        return;
    };
    let (_, found) = headline(&browser).await;
    assert_eq!(found, ["beta: 3 records wait and nothing moves"]);
    for process in &mut server.served.lock().deployment.processes {
        process["esmes"][1]["partitions"][0]["delayed"] = json!(1);
    }
    browser
        .until("return document.querySelectorAll('.findings li').length === 0")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_from_elsewhere_stays_text() {
    let Some((browser, server)) = page("text_from_elsewhere_stays_text", fixtures::hostile()).await
    else {
        return;
    };
    let text = browser.text().await;
    let told = text.matches(fixtures::HOSTILE).count();
    assert!(told > 30, "only told {told} times");
    assert!(
        text.contains("\\u{202e}"),
        "what turns text round is shown by its number"
    );
    sign_in(&browser, &format!("Pause {}", fixtures::HOSTILE)).await;
    browser
        .until_text("No more messages are sent, by any process")
        .await;
    let inside = "return [typeof window.struck, document.images.length, document.scripts.length, document.querySelectorAll('iframe, object, embed, [onerror], [onclick]').length]";
    assert_eq!(browser.run(inside).await, json!(["undefined", 0, 1, 0]));
    let links = browser.run("return [...document.links].map(a => new URL(a.href).origin).every(origin => origin === location.origin)").await;
    assert_eq!(links, json!(true));
    let names = "return [...document.querySelectorAll('#esme-0 tbody th')].map(th => th.innerText)";
    let names = browser.run(names).await.to_string();
    assert!(
        names.contains("__proto__") && names.contains("constructor"),
        "{names}"
    );
    let paths = server.served.lock().paths.clone();
    let known = [
        "/",
        "/page.css",
        "/page.js",
        "/dom.js",
        "/findings.js",
        "/model.js",
        "/pictures.js",
        "/sections.js",
        "/steer.js",
        "/icon.svg",
        "/processes",
        "/history",
        "/steer",
    ];
    let strange: Vec<_> = paths
        .iter()
        .filter(|path| !known.contains(&path.as_str()))
        .collect();
    assert!(strange.is_empty(), "asked for {strange:?}");
    assert!(browser.complaints().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_does_not_answer_is_said_and_so_is_its_return() {
    let Some((browser, server)) = page(
        "a_connector_that_does_not_answer_is_said_and_so_is_its_return",
        fixtures::well(),
    )
    .await
    else {
        return;
    };
    assert!(browser.complaints().await.is_empty());
    server.served.lock().away = true;
    browser
        .until_text("The connector does not answer since")
        .await;
    let text = browser.text().await;
    assert!(text.contains("Everything below was true at"), "{text}");
    assert_eq!(headline(&browser).await.0, "The connector does not answer");
    assert_eq!(browser.run(FAULTS).await, json!([]));
    server.served.lock().away = false;
    browser
        .until("return document.querySelector('h1').innerText === 'All is well'")
        .await;
    assert_eq!(
        browser
            .run("return document.querySelector('#away').innerText")
            .await,
        json!("")
    );
    // Nobody answered from the beginning.
    server.served.lock().deployment.processes.clear();
    browser.open(&server.url()).await;
    browser
        .until_text("it answered without a process to /processes")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_last_hour_the_rest_is_shown() {
    let test = "without_the_last_hour_the_rest_is_shown";
    let mut all = fixtures::wrong();
    all.history = Value::Null;
    let Some((browser, server)) = page(test, all).await else {
        return;
    };
    browser
        .until_text("The last hour cannot be asked for: it answered 503 to /history")
        .await;
    assert!(headline(&browser).await.0.contains("things are wrong"));
    server.served.lock().deployment.history = fixtures::wrong().history;
    browser
        .until("return document.querySelectorAll('.chart').length === 9")
        .await;
    assert!(!browser.text().await.contains("cannot be asked for"));
}

/// Everything that can be seen and used.
const CONTROLS: &str = "[...document.querySelectorAll('a[href], button, input, select, [tabindex=\"0\"]')].filter(e => e.getClientRects().length && !e.disabled)";

#[tokio::test(flavor = "multi_thread")]
async fn the_tab_key_reaches_every_control() {
    let Some((browser, _server)) =
        page("the_tab_key_reaches_every_control", fixtures::steered()).await
    else {
        return;
    };
    browser.click("Hold still").await;
    browser.run("document.activeElement.blur(); window.scrollTo(0, 0); window.seen = new Set(); window.dull = []").await;
    let many = browser
        .run(&format!("return {CONTROLS}.length"))
        .await
        .as_u64()
        .unwrap_or_default();
    assert!(many > 30, "only {many} controls");
    for _ in 0..many + 2 {
        browser.press(Key::Tab).await;
        browser.run("const at = document.activeElement; window.seen.add(at); const { outlineStyle, outlineWidth } = getComputedStyle(at); if (at !== document.body && (outlineStyle === 'none' || parseFloat(outlineWidth) < 2)) window.dull.push(at.outerHTML)").await;
    }
    let left = browser
        .run(&format!(
            "return {CONTROLS}.filter(e => !window.seen.has(e)).map(e => e.outerHTML)"
        ))
        .await;
    assert_eq!(left, json!([]), "the tab key did not reach these");
    assert_eq!(
        browser.run("return window.dull").await,
        json!([]),
        "where the focus is cannot be seen"
    );
}

/// Opens what a button opens, and gives token and name where they are asked for.
async fn sign_in(browser: &Browser, button: &str) {
    browser.click(button).await;
    browser.until_text("Steer this connector").await;
    browser.write(TOKEN).await;
    browser.press(Key::Tab).await;
    browser.write("anna").await;
    browser.press(Key::Enter).await;
    browser
        .until("return !document.querySelector('[name=token]')")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn steering_is_asked_for_confirmed_and_answered_by_keyboard_alone() {
    let test = "steering_is_asked_for_confirmed_and_answered_by_keyboard_alone";
    let Some((browser, server)) = page(test, fixtures::well()).await else {
        return;
    };
    // Escape leaves, and the focus is where it was.
    browser.click("Pause acme").await;
    browser.until_text("Steer this connector").await;
    browser.press(Key::Escape).await;
    browser
        .until("return !document.querySelector('dialog').open")
        .await;
    let focus = "return document.activeElement.getAttribute('aria-label')";
    assert_eq!(browser.run(focus).await, json!("Pause acme"));
    // A wrong token is asked for again.
    browser.press(Key::Enter).await;
    browser.until_text("Steer this connector").await;
    browser.write("guess").await;
    browser.press(Key::Tab).await;
    browser.write("anna").await;
    browser.press(Key::Enter).await;
    browser
        .until_text("No more messages are sent, by any process")
        .await;
    browser.press(Key::Tab).await;
    browser.press(Key::Enter).await;
    browser.until_text("that is not the token").await;
    browser.write(TOKEN).await;
    browser.press(Key::Enter).await;
    browser
        .until_text("No more messages are sent, by any process")
        .await;
    // Part of it, with a reason.
    browser.write("topic sms.b").await;
    browser.press(Key::Tab).await;
    browser.write("wrong numbers").await;
    browser.press(Key::Tab).await;
    browser.press(Key::Tab).await;
    browser.press(Key::Enter).await;
    browser
        .until_text("\"pause\" of \"acme\" is asked of all processes")
        .await;
    assert!(server.served.lock().orders.contains(&json!({"action": "pause", "esme": "acme", "topic": "sms.bulk", "by": "anna", "reason": "wrong numbers"})));
    assert_eq!(browser.run(focus).await, json!("Pause acme"));
    // What is not taken is said, and what was written stays.
    browser.click("Rate and window acme").await;
    browser.write("20000").await;
    browser.press(Key::Enter).await;
    browser.until_text("max_tps = 20000: at most 10000").await;
    assert_eq!(
        browser
            .run("return document.querySelector('[name=max_tps]').value")
            .await,
        json!("20000")
    );
    browser.run("document.querySelector('[name=max_tps]').value = ''; document.querySelector('[name=window]').value = '20'").await;
    browser.click("Change acme").await;
    browser
        .until_text("\"set\" of \"acme\" is asked of all processes")
        .await;
    assert_eq!(
        server.served.lock().orders.last(),
        Some(
            &json!({"action": "set", "esme": "acme", "max_tps": null, "window": 20, "by": "anna"})
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_is_what_the_connector_takes() {
    let Some((browser, server)) = page(
        "every_order_is_what_the_connector_takes",
        fixtures::steered(),
    )
    .await
    else {
        return;
    };
    sign_in(&browser, "Steer…").await;
    let orders = [
        (
            "Resume acme",
            "Resume acme",
            json!({"action": "resume", "esme": "acme", "by": "anna"}),
        ),
        (
            "Resume sms.bulk",
            "Resume sms.bulk",
            json!({"action": "resume", "esme": "acme", "topic": "sms.bulk", "by": "anna"}),
        ),
        (
            "Drain beta",
            "Drain beta",
            json!({"action": "drain", "esme": "beta", "by": "anna"}),
        ),
        (
            "Rebind beta",
            "Rebind beta",
            json!({"action": "rebind", "esme": "beta", "by": "anna"}),
        ),
        (
            "Rate and window acme",
            "Change acme",
            json!({"action": "set", "esme": "acme", "max_tps": 200, "window": 20, "by": "anna"}),
        ),
        (
            "End the maintenance of beta",
            "End it now",
            json!({"action": "end_maintenance", "esme": "beta", "by": "anna"}),
        ),
        (
            "Log level…",
            "Set the log level",
            json!({"action": "log", "level": "info", "by": "anna"}),
        ),
    ];
    for (many, (button, yes, order)) in orders.into_iter().enumerate() {
        browser.click(button).await;
        browser.click(yes).await;
        browser
            .until("return !document.querySelector('dialog').open")
            .await;
        let served = server.served.lock();
        assert_eq!(served.orders.get(many), Some(&order), "{button}");
    }
    browser.click("Maintenance beta").await;
    browser.run("document.querySelector('[name=from]').value = '2026-12-01T02:00'; document.querySelector('[name=until]').value = '2026-12-01T04:30'").await;
    browser.click("Agree maintenance of beta").await;
    browser
        .until("return !document.querySelector('dialog').open")
        .await;
    let order = server
        .served
        .lock()
        .orders
        .last()
        .cloned()
        .unwrap_or_default();
    let time = |name: &str| {
        order[name]
            .as_str()
            .and_then(|time| time.parse::<jiff::Timestamp>().ok())
    };
    let lasts = time("from")
        .zip(time("until"))
        .map(|(from, until)| until.duration_since(from).as_mins());
    assert_eq!(
        (&order["action"], lasts),
        (&json!("maintenance"), Some(150)),
        "{order}"
    );
    // The token is in this tab only, and gone when somebody says so.
    let kept = "return [sessionStorage.getItem('kafka-smpp token'), JSON.stringify(localStorage), document.cookie]";
    assert_eq!(
        browser.run(kept).await,
        json!([TOKEN, "{\"kafka-smpp name\":\"anna\"}", ""])
    );
    browser.click("Stop steering (anna)").await;
    assert_eq!(browser.run("return sessionStorage.length").await, json!(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_configured_there_is_nothing_to_steer_with() {
    let Some(browser) = browser("without_a_token_configured_there_is_nothing_to_steer_with").await
    else {
        return;
    };
    let server = Server::start(fixtures::steered()).await;
    server.served.lock().steering = false;
    browser.look(SIZES[2], false).await;
    browser.open(&server.url()).await;
    browser.until_text("read only").await;
    let buttons = browser.run("return [...document.querySelectorAll('button')].map(b => b.innerText).filter(t => !t.startsWith('Show all'))").await;
    assert_eq!(buttons, json!(["Hold still"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_change_and_what_somebody_does_stays() {
    let Some((browser, server)) = page(
        "numbers_change_and_what_somebody_does_stays",
        fixtures::crowded(),
    )
    .await
    else {
        return;
    };
    let rows = "return document.querySelectorAll('#esme-0-binds tbody tr').length";
    assert_eq!(browser.run(rows).await, json!(10));
    let first = browser
        .run("return document.querySelector('#esme-0-binds tbody tr').innerText")
        .await;
    assert!(
        first.to_string().contains("acme-63"),
        "what is not well comes first: {first}"
    );
    browser.click("Show all 64").await;
    assert_eq!(browser.run(rows).await, json!(64));
    server.served.lock().deployment.processes[0]["esmes"][0]["binds"][0]["window"]["used"] =
        json!(79);
    browser.until_text("79 of 80").await;
    assert_eq!(browser.run(rows).await, json!(64));
    assert_eq!(
        browser.run("return document.activeElement.innerText").await,
        json!("Show the first 10")
    );
    // Somebody looks at a time, in all pictures at once.
    let values =
        "return [...document.querySelectorAll('.legend strong')].map(v => v.innerText).join()";
    let now = browser.run(values).await;
    browser.run("document.querySelector('#time').focus()").await;
    for _ in 0..20 {
        browser.press(Key::Left).await;
    }
    assert_ne!(browser.run(values).await, now);
    assert_eq!(
        browser
            .run("return document.querySelectorAll('.look').length")
            .await,
        json!(9)
    );
    browser.press(Key::End).await;
    assert_eq!(
        browser
            .run("return document.querySelector('output').innerText")
            .await,
        json!("now")
    );
    // And at one ESME.
    browser.run("const which = document.querySelector('#which'); which.value = 'beta'; which.dispatchEvent(new Event('change'))").await;
    assert_ne!(browser.run(values).await, now);
    // Until it is held.
    browser.click("Hold still").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = server.served.lock().paths.len();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(
        server.served.lock().paths.len(),
        asked,
        "it asks although it is held"
    );
    browser.click("Go on updating").await;
    browser.until_text("Hold still").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_tables_and_pictures_are_told_in_words() {
    let Some((browser, _server)) = page(
        "tables_are_tables_and_pictures_are_told_in_words",
        fixtures::wrong(),
    )
    .await
    else {
        return;
    };
    browser.look(SIZES[0], false).await;
    let nameless = "return [...document.querySelectorAll('table')].filter(t => !t.caption || t.getAttribute('role') !== 'table' || !t.querySelector('th[scope=col]') || !t.querySelector('th[scope=row]')).length";
    assert_eq!(browser.run(nameless).await, json!(0));
    let told = browser
        .run(
            "return [...document.querySelectorAll('.plot')].map(p => p.getAttribute('aria-label'))",
        )
        .await;
    let told: Vec<String> = serde_json::from_value(told).expect("words");
    assert!(
        told.len() == 9 && told[0].starts_with("results in Kafka: now "),
        "{told:?}"
    );
    let levels = browser
        .run("return [...document.querySelectorAll('h1, h2, h3')].map(h => h.tagName)")
        .await;
    assert_eq!(levels[0], json!("H1"), "{levels}");
    let twice = browser.run("const ids = [...document.querySelectorAll('[id]')].map(e => e.id); return ids.filter((id, at) => ids.indexOf(id) !== at)").await;
    assert_eq!(twice, json!([]), "ids that stand twice");
    let loose = browser.run("return [...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.getAttribute('href').slice(1)).filter(id => !document.getElementById(id))").await;
    assert_eq!(loose, json!([]), "links that lead nowhere");
}

/// The pictures of docs/page.md, each with how high it is at most.
const PICTURES: [(&str, u32); 3] = [
    ("page-light.png", 1330),
    ("page-dark.png", 1330),
    ("page-phone.png", 1500),
];

/// MAKE_DOCS=1 makes them anew, and needs pngquant.
#[tokio::test(flavor = "multi_thread")]
async fn the_pictures_of_the_docs_are_small() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    if std::env::var_os("MAKE_DOCS").is_some() {
        let browser = browser("MAKE_DOCS").await.expect("a Chromium");
        for (name, height) in PICTURES {
            make_picture(&browser, &docs.join(name), height).await;
        }
    }
    for (name, _) in PICTURES {
        let size = std::fs::metadata(docs.join(name)).map(|file| file.len());
        let size = size.unwrap_or_else(|e| panic!("docs/{name}: {e}"));
        assert!(size < 150_000, "docs/{name} has {size} octets");
    }
}

async fn make_picture(browser: &Browser, file: &Path, height: u32) {
    let (dark, phone) = (
        file.ends_with("page-dark.png"),
        file.ends_with("page-phone.png"),
    );
    let all = if dark {
        fixtures::well()
    } else {
        fixtures::outage()
    };
    let server = Server::start(all).await;
    browser
        .look(if phone { SIZES[0] } else { (1360, 900) }, dark)
        .await;
    browser.open(&server.url()).await;
    browser
        .until("return document.querySelectorAll('.chart').length === 9")
        .await;
    std::fs::write(file, browser.picture(height).await).expect("a picture is written");
    let mut quantise = Command::new("pngquant");
    quantise
        .args(["--force", "--speed=1", "--strip", "--ext=.png", "64"])
        .arg(file);
    assert!(quantise.status().expect("pngquant is installed").success());
}

/// To look at it without a connector: `cargo test --test page -- --ignored --nocapture serve`, with what
/// PAGE names (`well`, `outage`, `wrong`, `steered`, `bare`, `crowded`, `hostile`), at the port that
/// PAGE_PORT names.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "serves the page until it is ended"]
async fn serve() {
    let wanted = std::env::var("PAGE").unwrap_or_else(|_| "wrong".into());
    let found = deployments().into_iter().find(|(name, _)| *name == wanted);
    let (_, deployment) = found.expect("PAGE names a deployment");
    let server = Server::start(deployment).await;
    eprintln!("{} (the token is {TOKEN:?})", server.url());
    std::future::pending::<()>().await;
}

/// Every state in every size, to look at: `PICTURES=folder cargo test --test page -- --ignored shots`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes pictures to look at"]
async fn shots() {
    let folder = PathBuf::from(std::env::var_os("PICTURES").expect("PICTURES names a folder"));
    let browser = browser("shots").await.expect("a Chromium");
    for (name, deployment) in deployments() {
        let server = Server::start(deployment).await;
        for (width, height) in SIZES {
            for (scheme, dark) in [("light", false), ("dark", true)] {
                browser.look((width, height), dark).await;
                browser.open(&server.url()).await;
                let picture = browser.picture(6000).await;
                let file = folder.join(format!("{name}-{width}-{scheme}.png"));
                std::fs::write(file, picture).expect("a picture is written");
            }
        }
    }
    for (width, height) in SIZES {
        browser.look((width, height), width < 800).await;
        for button in ["Drain acme", "Rate and window acme", "Maintenance acme"] {
            browser
                .run("sessionStorage.clear(); location.reload()")
                .await;
            browser
                .until("return document.querySelector('.actions') !== null")
                .await;
            browser.click(button).await;
            let asked = browser.view().await;
            std::fs::write(folder.join(format!("token-{width}.png")), asked)
                .expect("a picture is written");
            browser.press(Key::Escape).await;
            sign_in(&browser, button).await;
            let dialog = browser.view().await;
            std::fs::write(folder.join(format!("{button}-{width}.png")), dialog)
                .expect("a picture is written");
            browser.press(Key::Escape).await;
        }
    }
}
