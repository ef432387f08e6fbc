//! `kill -9` of a function or of the command line, at any moments of a backup, a restore, a merge or a drill, as often
//! as the seed says; the same again goes on or begins anew, and ends as if nothing had been.

mod order;
mod scene;
mod victim;

use std::time::{Duration, Instant};

use mongotar::backup::RunStatus;
use serde_json::{Value, json};

use super::{BACKUP, Campaign, Draw, RESTORE, Trial};
use crate::rig::{self, LambdaFunction};
use crate::support;
use order::{Operation, Order};
use scene::{Documents, Scene};
use victim::{Ended, Victim};

pub const CAMPAIGN: Campaign = Campaign {
    name: "kill",
    promise: "a function or a command that is killed at any moment, three times at the most, of a backup, a restore, a merge or a drill leaves nothing half made that can be seen, collections that are old or new, and a run that ends complete when it is asked for again, with nothing left behind",
    // Backups, restores, merges and drills, of a function, of the command line, and of one with `--run`.
    sample: &[100, 105, 107, 110],
    trial,
};

/// How often one run is killed at the most.
const KILLS: u64 = 3;
/// How often it is asked for at the most until it is at its end; what waits for a dead one's lease waits 200 ms each
/// time.
const ATTEMPTS: usize = 1_000;

fn trial(seed: u64) -> Trial {
    Box::pin(async move {
        let operation = Operation::ALL[usize::try_from(seed % 4).expect("few")];
        let program = Program::ALL[usize::try_from(seed / 4 % 3).expect("few")];
        let mut draw = Draw::of(seed);
        let scene = Scene::new(&mut draw).await;
        let order = Order {
            operation,
            to: scene.folder.clone(),
            compression: draw.one_of(&["none", "gzip", "zstd"]),
            payload: draw.one_of(&["jsonl", "bson"]),
            archive: String::new(),
            database: scene.source.clone(),
            run: rig::fresh_database_name("kill_run"),
        };
        let victim = victim(&order, program);
        let said = match operation {
            Operation::Backup => backup(&scene, &victim, order, &mut draw).await,
            Operation::Restore | Operation::Merge => restore(&scene, &victim, order, &mut draw).await,
            Operation::Drill => drill(&scene, &victim, order, &mut draw).await,
        };
        let (said, databases) = said;
        scene.end(&databases.iter().collect::<Vec<_>>()).await;
        format!("{operation:?}, {program:?}, {said}")
    })
}

/// What carries it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Function,
    Command,
    /// With `--run`: the same command goes on.
    NamedCommand,
}

impl Program {
    const ALL: [Self; 3] = [Self::Function, Self::Command, Self::NamedCommand];
}

fn victim(order: &Order, program: Program) -> Victim {
    let mut env = rig::shared_s3().env();
    env.push(("MONGO_URI".to_owned(), rig::shared_replica_set().uri()));
    if program != Program::Function {
        return Victim::command(env, program == Program::NamedCommand);
    }
    env.push(("MONGO_DB".to_owned(), order.database.clone()));
    let program = match order.operation {
        Operation::Backup => BACKUP,
        _ => RESTORE,
    };
    Victim::Function(Box::new(LambdaFunction::start(&rig::program(program), env)))
}

async fn backup(scene: &Scene, victim: &Victim, order: Order, draw: &mut Draw) -> (String, Vec<String>) {
    let undisturbed = Order {
        to: scene.folder.join("undisturbed/"),
        run: rig::fresh_database_name("kill_run"),
        ..order.clone()
    };
    let within = time_of(victim, &undisturbed).await;
    let (report, kills) = to_the_end(victim, &order, within, draw, (scene, &After::Backup)).await;
    scene.no_archive_is_half_made();
    scene.nothing_is_left_in_the_folder(kills.met).await;
    let visible = support::visible(&scene.tools.store, &scene.folder).await;
    match victim {
        Victim::Function(_) => assert_eq!(visible.len(), 2, "{visible:?}"),
        // Killed between its end and its answer, it has come to its end, and the next of that name is another run.
        Victim::Command { is_named: true, .. } => assert!(visible.len() <= 2 * (1 + kills.met), "{visible:?}"),
        Victim::Command { .. } => {}
    }
    let into = rig::fresh_database_name("kill_back");
    let event = json!({"archive": report["archive"], "database": into, "snapshot": false});
    let restored = support::restore(&scene.tools, event).await.expect("a restore");
    assert_eq!(restored.status, RunStatus::Complete);
    let new = scene.held(&scene.source).await;
    scene
        .is_restored(Operation::Restore, &into, &Documents::new(), &new)
        .await;
    (kills.to_string(), vec![into])
}

async fn restore(scene: &Scene, victim: &Victim, order: Order, draw: &mut Draw) -> (String, Vec<String>) {
    let archive = support::back_up(&scene.tools, &scene.source, &scene.folder)
        .await
        .archive;
    let (into, other) = (scene.target("kill_into").await, scene.target("kill_other").await);
    let order = Order {
        archive: archive.to_string(),
        database: into.clone(),
        ..order
    };
    let undisturbed = Order {
        database: other.clone(),
        run: rig::fresh_database_name("kill_run"),
        ..order.clone()
    };
    let within = time_of(victim, &undisturbed).await;
    let (old, new) = (scene.held(&into).await, scene.held(&scene.source).await);
    let after = After::Restore {
        order: &order,
        held: (&old, &new),
        leaves_lock: !victim.knows_runs(),
    };
    let (_, kills) = to_the_end(victim, &order, within, draw, (scene, &after)).await;
    scene.is_restored(order.operation, &into, &old, &new).await;
    scene.nothing_is_left_in_the_folder(kills.met).await;
    (kills.to_string(), vec![into, other])
}

async fn drill(scene: &Scene, victim: &Victim, order: Order, draw: &mut Draw) -> (String, Vec<String>) {
    let archive = support::back_up(&scene.tools, &scene.source, &scene.folder)
        .await
        .archive;
    let order = Order {
        archive: archive.to_string(),
        ..order
    };
    let undisturbed = Order {
        run: rig::fresh_database_name("kill_run"),
        ..order.clone()
    };
    let before = scene.held(&scene.source).await;
    let within = time_of(victim, &undisturbed).await;
    let (report, kills) = to_the_end(victim, &order, within, draw, (scene, &After::Drill)).await;
    assert_eq!(report["verdict"], "passed", "{report}");
    let scratch = report["scratch"].as_str().expect("a name").to_owned();
    let databases = scene.client.list_database_names().await.expect("names");
    assert!(!databases.contains(&scratch), "{scratch} is left");
    // A command that was killed cannot drop its database, and the next one is another run: it says that there are some,
    // and each has the mark of a drill.
    let mut left: Vec<String> = (0..kills.attempts).map(|attempt| order.scratch(attempt)).collect();
    left.retain(|name| databases.contains(name));
    assert!(left.len() <= kills.met, "{left:?}");
    for name in &left {
        let names = scene
            .client
            .database(name)
            .list_collection_names()
            .await
            .expect("names");
        assert!(names.contains(&"mongotar.drill".to_owned()), "{name}: {names:?}");
    }
    scene.nothing_is_left_in_the_folder(kills.met).await;
    assert!(scene.held(&scene.source).await == before, "the database was changed");
    (kills.to_string(), left)
}

/// How often a run was killed.
struct Kills {
    planned: usize,
    met: usize,
    attempts: usize,
}

impl std::fmt::Display for Kills {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "killed {} of {} times", self.met, self.planned)
    }
}

/// What is looked at after each kill.
enum After<'a> {
    Backup,
    Restore {
        order: &'a Order,
        /// What the target held before, and what is archived.
        held: (&'a Documents, &'a Documents),
        leaves_lock: bool,
    },
    Drill,
}

impl After<'_> {
    async fn a_kill(&self, scene: &Scene) {
        match self {
            Self::Backup => scene.no_archive_is_half_made(),
            Self::Restore {
                order,
                held: (old, new),
                leaves_lock,
            } => {
                scene.is_old_or_new(order.operation, &order.database, old, new).await;
                scene.no_archive_is_half_made();
                if *leaves_lock {
                    scene.let_the_lock_run_out(&order.database).await;
                }
            }
            Self::Drill => {}
        }
    }
}

/// How long the same takes when nobody kills it.
async fn time_of(victim: &Victim, order: &Order) -> Duration {
    let began = Instant::now();
    match victim.attempt(order, 0, None).await {
        Ended::Answered(answer) if answer["status"] == "complete" => began.elapsed(),
        other => panic!("undisturbed: {other:?}"),
    }
}

/// Asks for it until it is at its end, and kills the program in between at moments that are drawn within that time.
/// After each kill something is looked at, and half of the time the next attempt comes when the dead one's lease has
/// run out.
async fn to_the_end(
    victim: &Victim,
    order: &Order,
    within: Duration,
    draw: &mut Draw,
    (scene, after): (&Scene, &After<'_>),
) -> (Value, Kills) {
    // What the program has done before, it does a little faster the next time.
    let moment = |draw: &mut Draw| within.mul_f64(draw.below(900) as f64 / 1_000.0);
    let mut moments: Vec<Duration> = (0..=draw.below(KILLS)).map(|_| moment(draw)).collect();
    let (planned, mut met) = (moments.len(), 0);
    let mut waited_for = String::new();
    for attempt in 0..ATTEMPTS {
        let moment = moments.pop();
        match victim.attempt(order, attempt, moment).await {
            Ended::Killed => {
                met += 1;
                after.a_kill(scene).await;
                if draw.below(2) == 0 {
                    scene.let_the_leases_run_out().await;
                }
            }
            Ended::Answered(answer) if answer["status"] == "continue" => {}
            // A dead one's lease runs out, and then the next one takes over.
            Ended::Answered(answer) if answer["status"] == "running" => {
                moments.extend(moment);
                waited_for = answer.to_string();
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ended::Answered(answer) => {
                assert_eq!(answer["status"], "complete", "{answer:#}");
                let attempts = attempt + 1;
                return (answer, Kills { planned, met, attempts });
            }
            // What a dead one has left standing at the server or in the store is waited for.
            Ended::Failed(error, said) if error == "RestoreRunning" => {
                moments.extend(moment);
                waited_for = said;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ended::Failed(error, said) => panic!("{error}: {said}"),
        }
    }
    panic!("killed {met} of {planned} times, the run does not come to its end, but waits: {waited_for}")
}
