//! The longest run, and so the first by name: it begins before all others that run beside it.

use super::bed::*;
use super::support::*;

#[test]
fn every_fault_there_is_takes_effect_in_one_run_and_etcd_comes_out_valid() {
    let Some(bed) = Bed::new(5) else { return };
    let output = finish(bed.test(&["--nemesis", "all", "--time-limit", "100s", "--seed", "3"]), 2 * RUN_PATIENCE);
    bed.assert_valid(&output);
    let results = bed.results();
    for class in nemesis::spec::CLASSES {
        assert!(observed(&results, class.name) > 0, "{}: {}", class.name, results["coverage"]);
    }
    bed.assert_clean();
}
