use super::*;
use bson::doc;

#[test]
fn where_no_server_fits_it_is_said_why() {
    let seen = |uri: &str, sights: Vec<(&str, Sight)>| {
        let seen = SeenServers::of(&ConnectionString::parse(uri).expect("a connection string"));
        let sights = sights.into_iter().map(|(address, sight)| (address.to_owned(), sight));
        seen.servers.lock().expect("alone").extend(sights);
        seen.why()
    };
    let member = answered(&doc! {"setName": "rs7", "secondary": true});
    let said = seen("mongodb://a/?replicaSet=rs0", vec![("a:1", member.clone())]);
    assert!(said.contains("\"rs7\"") && said.contains("replicaSet=rs7"), "{said}");
    let said = seen(
        "mongodb://a/?replicaSet=rs0",
        vec![("a:1", answered(&doc! {"ismaster": true}))],
    );
    assert!(said.contains("leave replicaSet out"), "{said}");
    let gone = Sight::Fails("nothing listens there (connection refused)".to_owned());
    let said = seen("mongodb://a,b/?replicaSet=rs7", vec![("a:1", member), ("b:1", gone)]);
    assert_eq!(
        said,
        "no server is the primary: a:1 answers, as a secondary; b:1: nothing listens there (connection refused). Wait until one is elected, and try again; or back up one member as it is, by its address and directConnection=true"
    );
    let primary = answered(&doc! {"setName": "rs7", "isWritablePrimary": true});
    let said = seen("mongodb://a/?readPreference=secondary", vec![("a:1", primary.clone())]);
    assert_eq!(
        said,
        "no server fits readPreference=secondary: a:1 answers, as the primary. Leave readPreference out, or write readPreference=secondaryPreferred"
    );
    let said = seen(
        "mongodb://a/?readPreference=nearest&readPreferenceTags=dc:x",
        vec![("a:1", primary.clone())],
    );
    assert!(
        said.contains("readPreference=nearest") && said.contains("tags"),
        "{said}"
    );
    let said = seen("mongodb://a/", vec![("a:1", primary)]);
    assert!(said.starts_with("no server fits the connection string: a:1"), "{said}");
    assert!(said.contains("allow more (serverSelectionTimeoutMS)"), "{said}");
    let said = seen("mongodb://a/", vec![]);
    assert!(
        said.starts_with("no server can be reached: none has answered in time. Check")
            && said.contains("serverSelectionTimeoutMS"),
        "{said}"
    );
    let said = seen("mongodb://half/", vec![("half:1", Sight::Nameless)]);
    assert!(!said.contains("half"), "{said}");
}

#[test]
fn where_all_have_answered_and_none_fits_nobody_waits() {
    let vain = |options: &str, hellos: &[&Document], gone: bool| {
        let uri = format!("mongodb://a/?{options}");
        let seen = SeenServers::of(&ConnectionString::parse(uri).expect("a connection string"));
        let mut servers = seen.servers.lock().expect("alone");
        let sights = hellos.iter().enumerate();
        servers.extend(sights.map(|(at, hello)| (format!("h{at}:1"), answered(hello))));
        if gone {
            servers.insert("gone:1".to_owned(), Sight::Fails("nothing listens there".to_owned()));
        }
        drop(servers);
        seen.none_will_fit()
    };
    let primary = doc! {"setName": "rs", "isWritablePrimary": true};
    let secondary = doc! {"setName": "rs", "secondary": true};
    let of_dc = doc! {"setName": "rs", "secondary": true, "tags": {"dc": "x"}};
    let starting = doc! {"setName": "rs"};
    let arbiter = doc! {"setName": "rs", "arbiterOnly": true};
    let wants = "readPreference=secondary";
    let tagged = "readPreference=nearest&readPreferenceTags=dc:x";
    assert!(vain(wants, &[&primary], false));
    assert!(vain(wants, &[&primary, &arbiter], false));
    assert!(vain(tagged, &[&primary, &secondary], false));
    // Each of these may pass.
    assert!(!vain(wants, &[&primary], true));
    assert!(!vain(wants, &[&primary, &starting], false));
    assert!(!vain(wants, &[&primary, &secondary], false));
    assert!(!vain(wants, &[&secondary], false));
    // One that lags may catch up; none without the tags will ever do.
    let fresh = format!("{tagged}&maxStalenessSeconds=120");
    assert!(!vain(&fresh, &[&primary, &of_dc], false));
    assert!(vain(&fresh, &[&primary, &secondary], false));
    assert!(vain(
        &format!("{wants}&readPreferenceTags=dc:y"),
        &[&primary, &of_dc],
        false
    ));
    assert!(!vain(
        &format!("{wants}&readPreferenceTags=dc:y&readPreferenceTags="),
        &[&primary, &of_dc],
        false
    ));
    assert!(!vain("", &[&primary], false));
}

#[test]
fn refused_credentials_are_said_with_their_database_and_mechanism() {
    let refused = |uri: &str| SeenServers::of(&ConnectionString::parse(uri).expect(uri)).refused("failed");
    for (uri, words) in [
        (
            "mongodb://u:secret@h/",
            "authSource admin, since the connection string names none",
        ),
        ("mongodb://u:secret@h/shop", "authSource shop, since"),
        ("mongodb://u:secret@h/shop?authSource=users", "authSource users)"),
        (
            "mongodb://u:secret@h/?authMechanism=SCRAM-SHA-1",
            "authMechanism SCRAM-SHA-1, authSource admin",
        ),
    ] {
        let said = refused(uri);
        assert!(said.contains(words) && !said.contains("secret"), "{said}");
    }
}
