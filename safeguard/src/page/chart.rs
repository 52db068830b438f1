//! The trend as a picture, with a table for those who do not see it.

use maud::{Markup, html};

use crate::store::read::Day;

use super::words;

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 120.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 22.0;

/// Passed of enabled over the last days. The scale begins where it shows something, and says where.
pub(crate) fn trend(days: &[Day]) -> Markup {
    let points: Vec<(&Day, u16)> = days.iter().filter_map(|day| Some((day, day.passed_permille?))).collect();
    let (Some((first, _)), Some((last, now))) = (points.first(), points.last()) else {
        return html! { p.dim { "No day has been counted yet. The trend begins with the first full day." } };
    };
    let lowest = points.iter().map(|(_, permille)| *permille).min().unwrap_or(0);
    let floor = floor_of(lowest);
    let place = places(&points, floor);
    let line: Vec<String> = place.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let base = HEIGHT - BOTTOM;
    let (x0, x1) = (place.first().map_or(LEFT, |p| p.0), place.last().map_or(LEFT, |p| p.0));
    let area = format!("{x0:.1},{base:.1} {} {x1:.1},{base:.1}", line.join(" "));
    let end = place.last().copied().unwrap_or((LEFT, base));
    html! {
        figure.trend {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
                aria-label={ "From " (words::percent(first.passed_permille)) " on " (first.day) " to " (words::percent(Some(*now))) " on " (last.day) "." } {
                @for permille in [floor, floor.midpoint(1000), 1000] {
                    @let y = y_of(permille, floor);
                    line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(format!("{y:.1}")) y2=(format!("{y:.1}")) {}
                    text.axis x=(LEFT - 6.0) y=(format!("{:.1}", y + 3.0)) text-anchor="end" { (whole_percent(permille)) }
                }
                polygon.area points=(area) {}
                polyline.line points=(line.join(" ")) {}
                @for ((day, permille), (x, y)) in points.iter().zip(&place) {
                    circle.hit cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="7" {
                        title { (day.day) ": " (words::percent(Some(*permille))) " on " (words::count(u64::from(day.nodes), "node")) }
                    }
                }
                circle.end cx=(format!("{:.1}", end.0)) cy=(format!("{:.1}", end.1)) r="3.5" {}
                text.axis x=(LEFT) y=(HEIGHT - 6.0) { (first.day) }
                text.axis x=(WIDTH - RIGHT) y=(HEIGHT - 6.0) text-anchor="end" { (last.day) }
            }
            details { summary { "The days as a table" }
                div.scroll tabindex="0" role="region" aria-label="Trend by day" { table { thead { tr { th scope="col" { "Day" } th.n scope="col" { "Passed" } th.n scope="col" { "Checks" } th.n scope="col" { "Nodes" } } }
                    tbody { @for day in days.iter().rev() { tr {
                        td { (day.day) } td.n { (words::percent(day.passed_permille)) }
                        td.n { (words::number(u64::from(day.enabled))) } td.n { (words::number(u64::from(day.nodes))) }
                    } } } } }
            }
        }
    }
}

/// The scale ends at a round number below the lowest value, so that a change is seen.
fn floor_of(lowest: u16) -> u16 {
    let steps = [980, 950, 900, 800, 600, 0];
    steps.into_iter().find(|step| *step <= lowest.saturating_sub(2)).unwrap_or(0)
}

fn y_of(permille: u16, floor: u16) -> f64 {
    let range = f64::from(1000 - floor.min(999));
    let above = f64::from(permille.min(1000).saturating_sub(floor)) / range;
    TOP + (1.0 - above) * (HEIGHT - TOP - BOTTOM)
}

fn places(points: &[(&Day, u16)], floor: u16) -> Vec<(f64, f64)> {
    let steps = u32::try_from(points.len().saturating_sub(1)).unwrap_or(1).max(1);
    let step = (WIDTH - LEFT - RIGHT) / f64::from(steps);
    let x = |i: u32| if points.len() == 1 { WIDTH - RIGHT } else { LEFT + step * f64::from(i) };
    (0_u32..).zip(points).map(|(i, (_, permille))| (x(i), y_of(*permille, floor))).collect()
}

fn whole_percent(permille: u16) -> String {
    match permille % 10 {
        0 => format!("{} %", permille / 10),
        tenth => format!("{}.{tenth} %", permille / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: &str, pass: u32, enabled: u32) -> Day {
        let passed_permille = crate::store::read::permille(pass, enabled);
        Day { day: day.to_owned(), nodes: 1, pass, decided: enabled, enabled, passed_permille }
    }

    #[test]
    fn nothing_one_day_and_strange_days_are_drawn() {
        assert!(trend(&[]).into_string().contains("No day has been counted"));
        let strange = [day("<b>", 0, 0), day("2026-01-02", 5, 4), day("2026-01-03", 0, 7)];
        let drawn = trend(&strange).into_string();
        assert!(!drawn.contains("<b>") && !drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        assert!(trend(&[day("2026-01-02", 99, 100)]).into_string().contains("99.0"));
    }

    #[test]
    fn the_scale_begins_below_the_lowest_day() {
        for (lowest, floor) in [(1000, 980), (981, 950), (955, 950), (903, 900), (100, 0), (0, 0)] {
            assert_eq!(floor_of(lowest), floor, "{lowest}");
        }
    }
}
