//! What tells the lines of a figure apart: colour, marker and dashes, each by the line's number.

use std::f64::consts::PI;

/// Okabe and Ito's palette, which most colour-blind people can tell apart, without its black (the reference's) and its
/// yellow (not legible on white).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// Dashes of the first round of colours, the second, and so on.
const DASHES: [&str; 4] = ["", "8 4", "2 4", "9 4 2 4"];

/// The colour of a line.
pub fn colour(line: usize) -> &'static str {
    COLOURS[line % COLOURS.len()]
}

/// Colour and dashes of a line as attributes.
pub fn stroke(line: usize) -> String {
    let dashes = DASHES[line / COLOURS.len() % DASHES.len()];
    match dashes {
        "" => format!("stroke=\"{}\"", colour(line)),
        _ => format!("stroke=\"{}\" stroke-dasharray=\"{dashes}\"", colour(line)),
    }
}

/// A line's marker around a point, as the data of a path. Seven shapes and six colours: 42 pairs before one repeats.
pub fn marker(line: usize, centre: (f64, f64)) -> String {
    match line % 7 {
        0 => circle(centre, 5.0),
        1 => polygon(centre, 4, 6.3, 0.25),
        2 => polygon(centre, 3, 6.8, 0.0),
        3 => polygon(centre, 4, 6.6, 0.0),
        4 => polygon(centre, 3, 6.8, 0.5),
        5 => star(centre),
        _ => plus(centre),
    }
}

fn circle((x, y): (f64, f64), radius: f64) -> String {
    let (left, across) = (x - radius, 2.0 * radius);
    format!("M{left:.1} {y:.1}a{radius} {radius} 0 1 0 {across} 0a{radius} {radius} 0 1 0 -{across} 0z")
}

/// A regular polygon, turned by a share of a full turn between its corners times two.
fn polygon(centre: (f64, f64), corners: usize, radius: f64, turned: f64) -> String {
    let start = match corners {
        4 => turned * PI,
        _ => turned * 2.0 * PI,
    };
    path((0..corners).map(|at| on_circle(centre, radius, start + 2.0 * PI * at as f64 / corners as f64)))
}

fn star(centre: (f64, f64)) -> String {
    path((0..10).map(|at| on_circle(centre, if at % 2 == 0 { 7.2 } else { 3.2 }, PI * at as f64 / 5.0)))
}

fn plus((x, y): (f64, f64)) -> String {
    let (near, far) = (2.2, 6.4);
    let quarter = [(-near, -far), (near, -far), (near, -near)];
    // Three corners, turned four times by a right angle.
    let corners = (0..4).flat_map(|turns| quarter.map(|corner| (0..turns).fold(corner, |(dx, dy), _| (-dy, dx))));
    path(corners.map(|(dx, dy)| (x + dx, y + dy)))
}

/// A point at an angle from straight up.
fn on_circle((x, y): (f64, f64), radius: f64, angle: f64) -> (f64, f64) {
    (x + radius * angle.sin(), y - radius * angle.cos())
}

fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let points: Vec<String> = points.map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    format!("M{}z", points.join("L"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn many_lines_look_different() {
        let looks: BTreeSet<_> = (0..42).map(|line| (colour(line), marker(line, (0.0, 0.0)))).collect();
        assert_eq!(looks.len(), 42);
        let strokes: BTreeSet<_> = (0..24).map(stroke).collect();
        assert_eq!(strokes.len(), 24);
    }

    #[test]
    fn markers_stay_around_their_point() {
        for line in 1..7 {
            let path = marker(line, (100.0, 50.0));
            let numbers = path.trim_matches(['M', 'z']).split(['L', ' ']).map(|n| n.parse::<f64>().unwrap());
            let numbers: Vec<f64> = numbers.collect();
            for pair in numbers.chunks(2) {
                let away = ((pair[0] - 100.0).powi(2) + (pair[1] - 50.0).powi(2)).sqrt();
                assert!(away < 7.5, "{line}: {path}");
            }
        }
    }
}
