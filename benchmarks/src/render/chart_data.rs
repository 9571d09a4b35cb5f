//! What a chart item shows and asks, apart from how it is drawn.
//!
//! Likeness of the distractors depends on the question: for a value, how close the other labels' spelling is to the one
//! asked for; for the highest, lowest or higher label, how small the lead is; for a count, how close the values
//! come to the limit.

use rand::Rng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use strum::IntoStaticStr;

use super::colours::{Named, several};
use super::words::{Alphabet, WordPlan, distinct, likeness};
use super::{Random, between};

/// The kind of chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Kind {
    Bar,
    GroupedBar,
    Line,
    Pie,
}

impl Kind {
    /// The category of the item.
    pub(super) fn name(self) -> &'static str {
        self.into()
    }
}

/// One of the rows of values that a chart shows.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// What it is drawn in.
    pub(super) colour: Named,
    /// Its name in the legend; without a legend a question names the colour.
    pub(super) name: Option<String>,
}

/// The numbers behind a chart. All values are different.
#[derive(Debug, Clone)]
pub(super) struct Data {
    /// How they are drawn.
    pub(super) kind: Kind,
    /// One name for each position along the chart.
    pub(super) labels: Vec<String>,
    /// One, or two that are told apart by a legend or by their colour.
    pub(super) series: Vec<Series>,
    /// Values in 10..=99, `[series][label]`; those of a pie sum to 100.
    pub(super) values: Vec<Vec<u32>>,
    /// Whether each value is printed; if not, it is read from the axis and is a multiple of ten.
    pub(super) printed: bool,
}

/// Where the answer of a question stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// At one value: series, label.
    Value(usize, usize),
    /// At one label.
    Label(usize),
    /// At several values.
    Count(Vec<(usize, usize)>),
}

/// A question about the data.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// In words.
    pub(super) question: String,
    /// Its answer.
    pub(super) answer: String,
    /// Where the answer is to be seen.
    pub(super) target: Target,
    /// How alike the distractors are, 0 to 1.
    pub(super) likeness: f64,
}

/// Draws the numbers; `target` in 0..1 sets how many there are and how alike their labels.
pub(super) fn data(rng: &mut Random, target: f64) -> Data {
    let kind = *[Kind::Bar, Kind::GroupedBar, Kind::Line, Kind::Pie]
        .choose(rng)
        .unwrap_or(&Kind::Bar);
    let printed = kind == Kind::Pie || rng.random_bool(0.75);
    // The numbers along an axis take the room of a sixth label.
    let most = match kind {
        Kind::Bar | Kind::Line if printed => 6,
        Kind::Bar | Kind::Line | Kind::Pie => 5,
        Kind::GroupedBar => 3,
    };
    let series_count = match kind {
        Kind::GroupedBar => 2,
        Kind::Line if rng.random_bool(0.4) => 2,
        _ => 1,
    };
    let least = if series_count == 2 { 2 } else { 3 };
    let count = between(least, most, target);
    let legend = series_count > 1 && rng.random_bool(0.5);
    let plan = WordPlan {
        alphabet: Alphabet::Plain,
        lengths: &[2],
        count: count + if legend { series_count } else { 0 },
        alike: target * 0.7,
    };
    let mut labels = distinct(rng, plan);
    labels.shuffle(rng);
    let mut names = labels.split_off(count).into_iter();
    let series = several(rng, series_count)
        .into_iter()
        .map(|colour| Series {
            colour,
            name: names.next(),
        })
        .collect();
    let values = match kind {
        Kind::Pie => vec![parts(rng, count)],
        // Two lines keep to bands of their own, so that their printed values never meet.
        Kind::Line if series_count == 2 => {
            vec![
                spread(rng, count, 60, 95, printed),
                spread(rng, count, 20, 47, printed),
            ]
        }
        _ => {
            let all = spread(rng, count * series_count, 10, 95, printed);
            all.chunks(count).map(<[u32]>::to_vec).collect()
        }
    };
    Data {
        kind,
        labels,
        series,
        values,
        printed,
    }
}

/// Different values between two bounds, at least two apart where printed, else multiples of ten as far as there are
/// enough.
fn spread(rng: &mut Random, count: usize, low: u32, high: u32, printed: bool) -> Vec<u32> {
    let tens = (low.next_multiple_of(10)..=high).step_by(10).count();
    let step = match (printed, tens >= count) {
        (true, _) => 2,
        (false, true) => 10,
        (false, false) => 5,
    };
    let offset = if printed { rng.random_range(0..2) } else { 0 };
    let mut values = (low.next_multiple_of(step) + offset..=high)
        .step_by(step as usize)
        .collect::<Vec<_>>();
    values.shuffle(rng);
    values.truncate(count);
    values
}

/// Different parts of 100, none below 12, so that each slice has room for its number.
fn parts(rng: &mut Random, count: usize) -> Vec<u32> {
    loop {
        let mut values = (1..count)
            .map(|_| rng.random_range(12..=46))
            .collect::<Vec<_>>();
        let sum = values.iter().sum::<u32>();
        let last = 100_u32.saturating_sub(sum);
        let fits = (12..=46).contains(&last);
        values.push(last);
        values.sort_unstable();
        let different = values.windows(2).all(|pair| pair[0] != pair[1]);
        if fits && different {
            values.shuffle(rng);
            return values;
        }
    }
}

/// Draws a question.
pub(super) fn ask(rng: &mut Random, data: &Data) -> Ask {
    match rng.random_range(0..8) {
        0..=2 => value(data, one(rng, data)),
        3 => label_of_value(data, one(rng, data)),
        4 => extreme(data, one(rng, data).0, true),
        5 => extreme(data, one(rng, data).0, false),
        6 => {
            let (series, _) = one(rng, data);
            let mut pair = (0..data.labels.len()).collect::<Vec<_>>();
            pair.shuffle(rng);
            compare(data, series, (pair[0], pair[1]))
        }
        _ => count(
            data,
            rng.random_range(1..data.series.len() * data.labels.len()),
        ),
    }
}

/// The name or the colour of a series, such as "red ", when there are several; else nothing.
fn series_word(data: &Data, series: usize) -> String {
    if data.series.len() > 1 {
        let Series { colour, name } = &data.series[series];
        format!("{} ", name.as_deref().unwrap_or(colour.name))
    } else {
        String::new()
    }
}

fn one(rng: &mut Random, data: &Data) -> (usize, usize) {
    (
        rng.random_range(0..data.series.len()),
        rng.random_range(0..data.labels.len()),
    )
}

fn other_labels(data: &Data, label: usize) -> Vec<&str> {
    let others = data
        .labels
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != label);
    others.map(|(_, name)| name.as_str()).collect()
}

/// Everything that can be asked of the data, but of the counts and comparisons only some.
pub(super) fn questions(data: &Data) -> Vec<(String, String)> {
    let mut asks = Vec::new();
    for series in 0..data.series.len() {
        for label in 0..data.labels.len() {
            asks.push(value(data, (series, label)));
            asks.push(label_of_value(data, (series, label)));
        }
        asks.push(extreme(data, series, true));
        asks.push(extreme(data, series, false));
        for second in 1..data.labels.len() {
            asks.push(compare(data, series, (second, second - 1)));
        }
    }
    let values = data.series.len() * data.labels.len();
    asks.push(count(data, values / 2));
    asks.into_iter()
        .map(|ask| (ask.question, ask.answer))
        .collect()
}

fn value(data: &Data, (series, label): (usize, usize)) -> Ask {
    let name = &data.labels[label];
    Ask {
        question: format!("What is the {}value of {name}?", series_word(data, series)),
        answer: data.values[series][label].to_string(),
        target: Target::Value(series, label),
        likeness: likeness(name, &other_labels(data, label)),
    }
}

fn label_of_value(data: &Data, (series, label): (usize, usize)) -> Ask {
    let value = data.values[series][label].to_string();
    let others = data
        .values
        .iter()
        .flatten()
        .map(ToString::to_string)
        .filter(|other| *other != value)
        .collect::<Vec<_>>();
    Ask {
        question: format!("Which label has the value {value}?"),
        answer: data.labels[label].clone(),
        target: Target::Label(label),
        likeness: likeness(&value, &others),
    }
}

/// Likeness of a lead between two values: 1 for no lead, 0 for one of 50 or more.
fn closeness(first: u32, second: u32) -> f64 {
    1.0 - f64::from(first.abs_diff(second).min(50)) / 50.0
}

fn extreme(data: &Data, series: usize, highest: bool) -> Ask {
    let values = &data.values[series];
    let mut order = (0..values.len()).collect::<Vec<_>>();
    order.sort_by_key(|label| values[*label]);
    if highest {
        order.reverse();
    }
    let which = if highest { "highest" } else { "lowest" };
    Ask {
        question: format!(
            "Which label has the {which} {}value?",
            series_word(data, series)
        ),
        answer: data.labels[order[0]].clone(),
        target: Target::Label(order[0]),
        likeness: closeness(values[order[0]], values[order[1]]),
    }
}

fn compare(data: &Data, series: usize, (first, second): (usize, usize)) -> Ask {
    let values = &data.values[series];
    let winner = if values[first] > values[second] {
        first
    } else {
        second
    };
    Ask {
        question: format!(
            "Which {}value is higher, {} or {}?",
            series_word(data, series),
            data.labels[first],
            data.labels[second]
        ),
        answer: data.labels[winner].clone(),
        target: Target::Label(winner),
        likeness: closeness(values[first], values[second]),
    }
}

/// How many values lie above a limit: halfway from the value of rank `place` to the one before, so that at least one
/// passes it and one does not.
fn count(data: &Data, place: usize) -> Ask {
    let mut cells = Vec::new();
    for (series, values) in data.values.iter().enumerate() {
        cells.extend((0..values.len()).map(|label| (series, label)));
    }
    let value_of = |&(series, label): &(usize, usize)| data.values[series][label];
    let mut values = cells.iter().map(value_of).collect::<Vec<_>>();
    values.sort_unstable();
    let limit = u32::midpoint(values[place - 1], values[place]);
    let above = cells
        .into_iter()
        .filter(|cell| value_of(cell) > limit)
        .collect::<Vec<_>>();
    Ask {
        question: format!("How many values are above {limit}?"),
        answer: above.len().to_string(),
        target: Target::Count(above),
        likeness: closeness(values[place - 1], values[place]),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn many() -> impl Iterator<Item = (Data, Ask)> {
        (0..600).map(|seed| {
            let mut rng = Random::seed_from_u64(seed);
            let target = rng.random::<f64>();
            let data = data(&mut rng, target);
            let ask = ask(&mut rng, &data);
            (data, ask)
        })
    }

    #[test]
    fn values_are_different_and_in_range_and_a_pie_is_whole() {
        for (data, _) in many() {
            let mut values = data.values.iter().flatten().copied().collect::<Vec<_>>();
            if data.kind == Kind::Pie {
                assert_eq!(values.iter().sum::<u32>(), 100);
            }
            let count = values.len();
            values.sort_unstable();
            values.dedup();
            assert_eq!(values.len(), count, "{data:?}");
            assert_eq!(count, data.labels.len() * data.series.len());
            assert!(values.iter().all(|value| (10..=99).contains(value)));
        }
    }

    #[test]
    fn answers_are_true_of_the_data() {
        for (data, ask) in many() {
            assert!((0.0..=1.0).contains(&ask.likeness));
            let mut all = questions(&data);
            assert!(
                ask.question.starts_with("How")
                    || ask.question.contains(" or ")
                    || all.contains(&(ask.question.clone(), ask.answer.clone()))
            );
            all.push((ask.question, ask.answer));
            for (question, answer) in all {
                holds(&data, &question, &answer);
            }
        }
    }

    /// The answer, worked out from the words of the question.
    fn holds(data: &Data, question: &str, answer: &str) {
        let words = question
            .trim_end_matches('?')
            .split([' ', ','])
            .collect::<Vec<_>>();
        let series = data
            .series
            .iter()
            .position(|series| {
                let colour = series.colour.name;
                words.contains(&series.name.as_deref().unwrap_or(colour))
            })
            .unwrap_or(0);
        let label = |name: &str| data.labels.iter().position(|other| other == name).unwrap();
        let values = &data.values[series];
        let expected = match words[..] {
            ["What", .., name] => values[label(name)].to_string(),
            ["Which", "label", "has", "the", "value", value] => {
                let value: u32 = value.parse().unwrap();
                let found = data
                    .values
                    .iter()
                    .find_map(|row| row.iter().position(|other| *other == value));
                data.labels[found.unwrap()].clone()
            }
            ["Which", "label", "has", "the", which, ..] => {
                let best = if which == "highest" {
                    values.iter().max()
                } else {
                    values.iter().min()
                };
                data.labels[values.iter().position(|value| Some(value) == best).unwrap()].clone()
            }
            ["Which", .., first, "or", second] => {
                let wins = values[label(first)] > values[label(second)];
                if wins { first } else { second }.to_owned()
            }
            ["How", .., limit] => {
                let limit: u32 = limit.parse().unwrap();
                data.values
                    .iter()
                    .flatten()
                    .filter(|value| **value > limit)
                    .count()
                    .to_string()
            }
            _ => panic!("{question}"),
        };
        assert_eq!(answer, expected, "{question} {data:?}");
    }
}
