use super::*;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

#[test]
fn ten_thousand_parts_reach_s3s_largest_object() {
    let schedule = PartSchedule::default();
    assert_eq!(schedule.size(1), 8 * MIB);
    assert_eq!(schedule.size(1_000), 8 * MIB);
    assert_eq!(schedule.size(1_001), 16 * MIB);
    assert!(schedule.capacity() > 7 * TIB);
    assert!((1..=MAX_PARTS).all(|number| (MIN_PART_BYTES..=MAX_PART_BYTES).contains(&schedule.size(number))));

    // Amazon S3's limit of 2026: 48.8 TiB, which is 10,000 parts of 5 GiB.
    let largest = u64::from(MAX_PARTS) * MAX_PART_BYTES;
    assert_eq!(PartSchedule::for_estimate(largest).capacity(), largest);
    assert_eq!(PartSchedule::for_estimate(1 << 30), schedule);
    for estimate in [TIB, 6 * TIB, 20 * TIB] {
        assert!(PartSchedule::for_estimate(estimate).capacity() >= 2 * estimate);
    }
}

#[test]
fn parts_of_one_size_hold_what_is_estimated_twice() {
    for (least, estimate, size) in [
        (0, 0, 5 * MIB),
        (8 * MIB, 1 << 30, 8 * MIB),
        (8 * MIB, TIB, 256 * MIB),
        (MAX_PART_BYTES * 2, 0, MAX_PART_BYTES),
    ] {
        let schedule = PartSchedule::equal(least, estimate);
        assert!((1..=MAX_PARTS).all(|number| schedule.size(number) == size));
        assert!(schedule.capacity() >= 2 * estimate);
    }
    // What an earlier version wrote down says nothing of it.
    let before: PartSchedule = serde_json::from_str(r#"{"base":8388608}"#).expect("a schedule");
    assert_eq!(before, PartSchedule::default());
}

/// What is to be done with some bytes: sent, or copied from an object at the place that comes next, or at another.
#[derive(Clone, Copy, Debug)]
enum Come {
    Sent,
    CopiedNext(u32),
    CopiedElsewhere(u32),
}

fn come() -> impl Strategy<Value = Come> {
    prop_oneof![
        Just(Come::Sent),
        (0..2_u32).prop_map(Come::CopiedNext),
        (0..2_u32).prop_map(Come::CopiedNext),
        (0..2_u32).prop_map(Come::CopiedElsewhere),
    ]
}

proptest! {
    #[test]
    fn what_is_sent_and_what_is_copied_make_one_object(
        base in 1_u64..2_000,
        steps in prop::collection::vec((come(), 0_usize..3_000, 0_usize..100), 0..60),
    ) {
        let mut assembler = PartAssembler::new(PartSchedule { base, equal: false });
        let mut objects = [vec![], vec![]];
        let (mut expected, mut sent, mut copied) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (come, length, hole)) in steps.into_iter().enumerate() {
            let data: Vec<u8> = (0..length).map(|at| (at * 7 + index) as u8).collect();
            match come {
                Come::Sent => {
                    // As an entry: its header is known behind it.
                    assembler.leave_hole(hole);
                    expected.extend(vec![b'h'; hole]);
                    assembler.append(&data);
                    assembler.fill_hole(&vec![b'h'; hole]);
                }
                Come::CopiedNext(source) | Come::CopiedElsewhere(source) => {
                    let object = &mut objects[source as usize];
                    if let Come::CopiedElsewhere(_) = come {
                        object.push(0);
                    }
                    let extent = Extent { offset: object.len() as u64, length: length as u64 };
                    object.extend_from_slice(&data);
                    assembler.copy(source, extent, &data);
                }
            }
            expected.extend_from_slice(&data);
            prop_assert_eq!(assembler.offset(), expected.len() as u64);
            sent.extend(std::iter::from_fn(|| assembler.next_ready()));
            copied.extend(std::iter::from_fn(|| assembler.next_copied()));
        }
        assembler.end_run();
        copied.extend(std::iter::from_fn(|| assembler.next_copied()));
        sent.extend(assembler.finish());
        for part in &copied {
            prop_assert!(part.extent.length >= base, "S3 takes no shorter part");
            let from = part.extent.offset as usize;
            let bytes = objects[part.source as usize][from..from + part.extent.length as usize].to_vec();
            sent.push(Part { number: part.number, offset: part.offset, bytes });
        }
        sent.sort_by_key(|part| part.number);
        let mut joined = Vec::new();
        for (index, part) in sent.iter().enumerate() {
            prop_assert_eq!((part.number as usize, part.offset as usize), (index + 1, joined.len()));
            prop_assert!(index + 1 == sent.len() || part.bytes.len() as u64 >= base);
            joined.extend_from_slice(&part.bytes);
        }
        prop_assert_eq!(joined, expected);
    }

    /// A run gets as long as it is, whatever the parts' size is.
    #[test]
    fn a_long_run_is_one_part(base in 1_u64..500, segments in prop::collection::vec(1_u64..900, 1..50)) {
        let mut assembler = PartAssembler::new(PartSchedule { base, equal: false });
        let mut offset = 40;
        for length in &segments {
            assembler.copy(7, Extent { offset, length: *length }, &vec![1; *length as usize]);
            offset += length;
        }
        assembler.end_run();
        let all: u64 = segments.iter().sum();
        let copied = assembler.next_copied().map(|part| part.extent);
        prop_assert_eq!(copied, (all >= base).then_some(Extent { offset: 40, length: all }));
        prop_assert_eq!(assembler.next_copied(), None);
    }
    /// Whatever is written in whatever pieces, stopped and taken up again wherever, the parts joined by number are
    /// the bytes, and only the part with the hole waits.
    #[test]
    fn parts_join_to_the_stream(
        steps in prop::collection::vec((0_usize..9000, 1_usize..700, any::<bool>(), any::<bool>()), 1..40),
        equal in any::<bool>(),
    ) {
        let schedule = PartSchedule { base: 2048, equal };
        let mut assembler = PartAssembler::new(schedule);
        let mut expected = Vec::new();
        let mut parts = Vec::new();
        for (index, (length, hole, filled_late, stopped)) in steps.into_iter().enumerate() {
            let filler = vec![b'A' + (index % 26) as u8; hole];
            assembler.leave_hole(hole);
            expected.extend_from_slice(&filler);
            if !filled_late {
                assembler.fill_hole(&filler);
            }
            let data: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            assembler.append(&data);
            expected.extend_from_slice(&data);
            parts.extend(std::iter::from_fn(|| assembler.next_ready()));
            if stopped {
                let state = serde_json::to_string(&assembler.state()).expect("JSON");
                let state = serde_json::from_str(&state).expect("a state");
                let held = assembler.held_bytes().map(<[u8]>::to_vec);
                let current = assembler.current_bytes().to_vec();
                assembler = PartAssembler::resume(state, current, held).expect("its own bytes");
            }
            if filled_late {
                let waiting = usize::from(assembler.held.is_some());
                prop_assert!(assembler.offset() as usize <= parts.iter().map(|part| part.bytes.len()).sum::<usize>()
                    + (2 * waiting + 2) * (2048 + 700));
                assembler.fill_hole(&filler);
            }
        }
        parts.extend(assembler.finish());
        parts.sort_by_key(|part| part.number);
        let mut joined = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            prop_assert_eq!(part.number as usize, index + 1);
            prop_assert_eq!(part.offset as usize, joined.len());
            prop_assert!(index + 1 == parts.len() || part.bytes.len() >= 2048);
            prop_assert!(!equal || index + 1 == parts.len() || part.bytes.len() == 2048);
            prop_assert!(!equal || part.bytes.len() <= 2048);
            joined.extend_from_slice(&part.bytes);
        }
        prop_assert_eq!(joined, expected);
    }
}
