//! What an archive says of its own extent decides what a restore may drop.

use super::*;

#[test]
fn an_archive_that_may_be_incomplete_drops_nothing() {
    let archive = Contents {
        coverage: Coverage::Part("the tar has no end".to_owned()),
        ..contents([saved("a")])
    };
    let plan = plan(&archive, &catalog([collection("x")]), &Policy::new("shop")).expect("a plan");
    assert!(plan.to_drop.is_empty());
    assert!(plan.get("x").expect("a row").reason.contains("the tar has no end"));
}

#[test]
fn where_only_the_layout_says_that_an_archive_is_whole_a_drop_is_warned_of() {
    let archive = Contents {
        coverage: Coverage::WholeByLayout,
        ..contents([saved("a")])
    };
    let warned = |target: &[&str], policy: &Policy| {
        let target = catalog(target.iter().map(|name| collection(name)).collect::<Vec<_>>());
        let plan = plan(&archive, &target, policy).expect("a plan");
        plan.warnings.concat().contains("has no manifest")
    };
    assert!(warned(&["x"], &Policy::new("shop")));
    assert!(!warned(&["a"], &Policy::new("shop")), "nothing is dropped");
    assert!(!warned(&["x"], &including(&["a"])));
}

#[test]
fn an_archive_that_does_not_claim_to_be_whole_drops_only_what_is_asked_for() {
    let archive = Contents {
        coverage: Coverage::Unsaid("a dump".to_owned()),
        ..contents([saved("a")])
    };
    let target = catalog([collection("x")]);
    let kept = plan(&archive, &target, &Policy::new("shop")).expect("a plan");
    assert_eq!(kept.to_drop, Vec::<String>::new());
    let row = kept.get("x").expect("a row");
    assert!(
        row.action == Action::Skip && row.reason.contains("--drop-missing"),
        "{row:?}"
    );
    assert!(
        kept.warnings[0].contains("does not claim to be whole (a dump)"),
        "{:?}",
        kept.warnings
    );

    let asked = Policy {
        extra: Extra::DropMissing,
        ..Policy::new("shop")
    };
    let dropped = plan(&archive, &target, &asked).expect("a plan");
    assert_eq!(dropped.to_drop, ["x"]);
    assert_ne!(dropped.confirm, kept.confirm, "consent to the one is none to the other");
    assert!(
        conflicts(
            &Contents {
                collections: Vec::new(),
                ..archive.clone()
            },
            &target,
            &asked
        )
        .contains("everything on the target")
    );

    // What was asked for is not done, and that is said.
    let selective = Policy {
        extra: Extra::DropMissing,
        ..including(&["a"])
    };
    let torn = Contents {
        coverage: Coverage::Part("users.csv is not read".to_owned()),
        ..archive.clone()
    };
    for (archive, policy, why) in [
        (&archive, &selective, "has no effect"),
        (&torn, &asked, "users.csv is not read"),
    ] {
        let plan = plan(archive, &target, policy).expect("a plan");
        assert_eq!(plan.to_drop, Vec::<String>::new());
        let said = |warning: &String| warning.contains("drop_missing") && warning.contains(why);
        assert!(plan.warnings.iter().any(said), "{:?}", plan.warnings);
    }
    let whole = plan(&contents([saved("a")]), &target, &asked).expect("a plan");
    assert_eq!(whole.to_drop, ["x"]);
}
