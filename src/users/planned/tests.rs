use bson::{RawDocument, rawdoc};

use super::*;

fn scram() -> RawDocumentBuf {
    rawdoc! {"SCRAM-SHA-256": {"iterationCount": 15000, "salt": "a", "storedKey": "b", "serverKey": "c"}}
}

fn users(users: &[&RawDocument], roles: &[&RawDocument]) -> Users {
    let mut all = Users::default();
    for user in users {
        all.add_user("shop", user).expect("a user");
    }
    for role in roles {
        all.add_role("shop", role).expect("a role");
    }
    all
}

/// The plan of all for `copy`, where those are there.
fn plan_of(archived: &Users, there: &Users, grants: Grants) -> (PlannedUsers, Users) {
    let builtin = ["read", "readWrite"].map(|role| Granted {
        role: role.to_owned(),
        database: "copy".to_owned(),
    });
    let elsewhere = Granted {
        role: "read".to_owned(),
        database: "other".to_owned(),
    };
    let roles = BTreeSet::from_iter(builtin.into_iter().chain([elsewhere]));
    let target = Target {
        database: "copy",
        users: there,
        roles: Some(&roles),
        mechanisms: Some(&["SCRAM-SHA-1".to_owned()]),
    };
    planned(moved(archived, "shop", "copy"), &target, grants)
}

#[test]
fn nobody_gets_rights_elsewhere_unasked_and_roles_never_do() {
    let app = rawdoc! {"user": "app", "db": "shop", "credentials": scram(), "roles": [
        {"role": "readWrite", "db": "shop"}, {"role": "r", "db": "shop"}, {"role": "gone", "db": "shop"},
        {"role": "read", "db": "other"},
    ]};
    let role = rawdoc! {"role": "r", "db": "shop", "roles": [{"role": "read", "db": "other"}], "privileges": [
        {"resource": {"db": "shop", "collection": "a"}, "actions": ["find"]},
        {"resource": {"db": "", "collection": ""}, "actions": ["find"]},
        {"resource": {"anyResource": true}, "actions": ["anyAction"]},
    ]};
    let archived = users(&[&app], &[&role]);
    let (plan, made) = plan_of(&archived, &Users::default(), Grants::Within);
    assert_eq!(plan.not_granted.len(), 5, "{plan:?}");
    let names = |user: &KnownUser| user.roles.iter().map(|role| role.role.clone()).collect::<Vec<_>>();
    assert_eq!(names(&made.users[0]), ["r", "readWrite"]);
    assert_eq!(made.roles[0].privileges.len(), 1);
    let resource = rawdoc! {"db": "copy", "collection": "a"};
    assert_eq!(made.roles[0].privileges[0].resource, resource);

    let (plan, made) = plan_of(&archived, &Users::default(), Grants::Elsewhere);
    assert_eq!(names(&made.users[0]), ["r", "read", "readWrite"]);
    assert!(made.roles[0].roles.is_empty(), "no server allows it");
    assert!(
        plan.not_granted
            .iter()
            .any(|what| what.contains("role gone on copy, which")),
        "{plan:?}"
    );
}

#[test]
fn who_is_there_stays_and_who_cannot_log_in_is_named() {
    let of = |name: &str, credentials: RawDocumentBuf| {
        rawdoc! {"user": name, "db": "shop", "credentials": credentials, "roles": []}
    };
    let archived = users(
        &[
            &of("same", scram()),
            &of("other", scram()),
            &of("new", scram()),
            &of("old", rawdoc! {"MONGODB-CR": "x"}),
        ],
        &[],
    );
    let mut there = users(&[&of("same", scram()), &of("other", rawdoc! {})], &[]);
    there.users.sort_unstable_by(|a, b| b.name.cmp(&a.name));
    let (plan, made) = plan_of(&archived, &there, Grants::Within);
    for (name, action) in [
        ("same", UserAction::KeepEqual),
        ("other", UserAction::KeepDifferent),
        ("new", UserAction::Create),
        ("old", UserAction::LeaveOut),
    ] {
        assert_eq!(plan.users[name], action, "{name}");
    }
    assert_eq!(made.users.len(), 1);
    for word in [
        "user old has no credentials",
        "but for MONGODB-CR",
        "user new will not be able to log in",
    ] {
        assert!(plan.notes.iter().any(|note| note.contains(word)), "{word}: {plan:?}");
    }
}

#[test]
fn roles_come_behind_those_that_they_are_granted() {
    let of = |name: &str, granted: &str| {
        let granted = rawdoc! {"role": granted, "db": "shop"};
        rawdoc! {"role": name, "db": "shop", "privileges": [], "roles": [granted]}
    };
    let (x, y) = (of("x", "y"), of("y", "x"));
    let archived = users(&[], &[&of("a", "b"), &of("b", "c"), &of("c", "read"), &x, &y]);
    let (plan, made) = plan_of(&archived, &Users::default(), Grants::Within);
    let order: Vec<&str> = made.roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(order, ["c", "b", "a"]);
    assert_eq!(
        (plan.roles["x"], plan.roles["y"]),
        (UserAction::LeaveOut, UserAction::LeaveOut)
    );
    assert_eq!(plan.notes.len(), 2, "{plan:?}");
}
