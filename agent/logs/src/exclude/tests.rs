use super::*;

fn pod(uid: &str) -> PodKey {
    PodKey { namespace: "shop".to_owned(), name: "cart-1".to_owned(), uid: uid.to_owned() }
}

fn container(uid: &str, name: &str) -> ContainerKey {
    let PodKey { namespace, name: pod, uid } = pod(uid);
    ContainerKey { namespace, pod, uid, container: name.to_owned() }
}

fn all() -> PodExclusion {
    PodExclusion { all: Some("every".into()), ..PodExclusion::default() }
}

fn only(names: &[&str]) -> PodExclusion {
    let containers = names.iter().map(|name| ((*name).to_owned(), "some".into())).collect();
    PodExclusion { all: None, containers }
}

fn nothing() -> PodExclusion {
    PodExclusion::default()
}

fn word(pods: &[(&str, PodExclusion)]) -> Exclusions {
    let pods = pods.iter().map(|(uid, exclusion)| (pod(uid), exclusion.clone())).collect();
    Exclusions { pods, problem: None }
}

/// What was told at which times.
fn told(words: &[(i64, Exclusions)]) -> Told {
    let mut told = Told::default();
    for (now_ms, word) in words {
        told.tell(word.clone(), &HashSet::new(), *now_ms);
    }
    told
}

/// Which of these times are left out.
fn times(told: &Told, uid: &str, name: &str) -> Vec<i64> {
    let excluded = told.of(&container(uid, name));
    (0..100).step_by(10).filter(|ms| excluded.spans.iter().any(|span| span.holds(*ms))).collect()
}

#[test]
fn nobody_is_left_out_of_whom_nothing_was_said() {
    let told = told(&[(50, word(&[("a", all())]))]);
    assert_eq!(told.of(&container("b", "web")), Excluded::default());
    let other = ContainerKey { pod: "cart-2".to_owned(), ..container("a", "web") };
    assert_eq!(told.of(&other), Excluded::default(), "of the same uid, but of another name");
}

#[test]
fn the_first_word_about_a_pod_means_everything_that_is_unread() {
    let told = told(&[(50, word(&[("a", only(&["web"]))]))]);
    assert_eq!(times(&told, "a", "web").len(), 10);
    assert_eq!(times(&told, "a", "log"), Vec::<i64>::new());
    assert_eq!(told.of(&container("a", "web")).by.as_deref(), Some("some"));
}

#[test]
fn a_later_word_counts_from_then_on_to_its_end() {
    let mut told = told(&[(10, word(&[("a", nothing())])), (50, word(&[("a", all())]))]);
    assert_eq!(times(&told, "a", "web"), [50, 60, 70, 80, 90]);
    told.tell(word(&[("a", nothing())]), &HashSet::new(), 70);
    assert_eq!(times(&told, "a", "web"), [50, 60], "what was written before its end stays left out");
    assert_eq!(told.of(&container("a", "web")).by, None);
    told.tell(word(&[("a", all())]), &HashSet::new(), 90);
    assert_eq!(times(&told, "a", "web"), [50, 60, 90]);
}

#[test]
fn one_container_more_begins_with_its_own_word() {
    let told = told(&[(10, word(&[("a", only(&["web"]))])), (50, word(&[("a", only(&["log", "web"]))]))]);
    assert_eq!(times(&told, "a", "web").len(), 10);
    assert_eq!(times(&told, "a", "log"), [50, 60, 70, 80, 90]);
}

#[test]
fn from_one_container_to_all_and_back_there_is_no_gap() {
    let words = [
        (0, word(&[("a", nothing())])),
        (20, word(&[("a", only(&["web"]))])),
        (40, word(&[("a", all())])),
        (60, word(&[("a", only(&["web"]))])),
    ];
    let told = told(&words);
    assert_eq!(times(&told, "a", "web"), [20, 30, 40, 50, 60, 70, 80, 90]);
    assert_eq!(times(&told, "a", "log"), [40, 50]);
}

#[test]
fn a_pod_that_is_gone_stays_as_it_was_until_its_files_are_gone() {
    let mut told = told(&[(0, word(&[("a", nothing()), ("b", all())])), (50, word(&[("a", all()), ("b", all())]))]);
    let with_files = HashSet::from([pod("a"), pod("b")]);
    told.tell(word(&[]), &with_files, 70);
    assert_eq!((times(&told, "a", "web").len(), times(&told, "b", "web").len()), (5, 10));
    told.tell(word(&[]), &HashSet::from([pod("b")]), 80);
    told.tell(word(&[]), &HashSet::from([pod("b")]), 80 + GONE_MS);
    assert_eq!((times(&told, "a", "web").len(), times(&told, "b", "web").len()), (0, 10));
    assert_eq!(told.pods.len(), 1);
}

#[test]
fn the_files_of_a_pod_that_lived_for_a_moment_may_be_found_after_its_end() {
    let mut told = told(&[(0, word(&[("a", all())])), (10, word(&[]))]);
    assert_eq!(times(&told, "a", "web").len(), 10);
    // It comes back, as a static pod does, and is no longer gone.
    told.tell(word(&[("a", all())]), &HashSet::new(), 20);
    told.tell(word(&[]), &HashSet::new(), GONE_MS);
    told.tell(word(&[]), &HashSet::new(), GONE_MS + 100);
    assert_eq!(times(&told, "a", "web").len(), 10);
}

#[test]
fn pods_that_come_and_go_cost_no_memory() {
    let mut told = Told::default();
    for i in 0..3_000 {
        told.tell(word(&[(&format!("p{i}"), all())]), &HashSet::new(), i);
    }
    assert!(told.pods.len() <= MOST_GONE + 1, "{}", told.pods.len());
    assert!(told.pods.contains_key(&pod("p2998")) && !told.pods.contains_key(&pod("p0")));
}

#[test]
fn a_word_that_is_said_again_changes_nothing() {
    let words = [(0, word(&[("a", nothing())])), (50, word(&[("a", all())])), (70, word(&[("a", all())]))];
    assert_eq!(times(&told(&words), "a", "web"), [50, 60, 70, 80, 90]);
}

#[test]
fn whoever_changes_his_mind_all_day_costs_no_memory() {
    let mut told = told(&[(0, word(&[("a", nothing())]))]);
    for i in 0..1_000 {
        told.tell(word(&[("a", only(&["web", &format!("c{i}")]))]), &HashSet::new(), 2 * i);
        told.tell(word(&[("a", nothing())]), &HashSet::new(), 2 * i + 1);
    }
    let known = &told.pods[&pod("a")];
    assert!(known.containers.len() <= MOST_NAMES + 2, "{}", known.containers.len());
    assert!(told.of(&container("a", "web")).spans.len() <= MOST_SPANS);
    told.tell(word(&[("a", only(&["web"]))]), &HashSet::new(), 5_000);
    assert!(told.of(&container("a", "web")).spans.iter().any(|span| span.holds(5_000)));
}
