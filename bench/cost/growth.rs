//! Figures over the number of objects, drawn as an SVG for docs/performance.md.

use crate::{Result, figures::Figure};
use plotters::prelude::*;
use std::{collections::BTreeMap, path::Path};

/// The size of the picture in pixels.
const SIZE: (u32, u32) = (860, 760);
/// The figures of the upper chart: parts and multiples of the floor.
const RATIOS: [Figure; 4] = [Figure::ColdReady, Figure::ColdWritten, Figure::NewObject, Figure::NewObjectP99];
/// The figures of the lower chart, in megabytes.
const MEMORY: [Figure; 2] = [Figure::Resident, Figure::ResidentRestarted];

/// The figures of each run, by its number of objects.
pub type Runs = BTreeMap<usize, BTreeMap<Figure, f64>>;

/// Draws the runs to `path`.
///
/// # Errors
/// An error if there are fewer than two runs, or the file cannot be written.
pub fn draw(runs: &Runs, path: &Path) -> Result {
    let (Some(first), Some(last)) = (runs.keys().next(), runs.keys().next_back()) else {
        return Err("there is nothing to draw".into());
    };
    if first == last {
        return Err("the growth needs two sizes at least: --sizes 100,1000".into());
    }
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(drawing)?;
    let (upper, lower) = root.split_vertically(SIZE.1 / 2);
    chart(&upper, "against the floor of the same run", runs, &RATIOS)?;
    chart(&lower, "resident memory", runs, &MEMORY)?;
    root.present().map_err(drawing)?;
    Ok(())
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    runs: &Runs,
    figures: &[Figure],
) -> Result {
    let values = runs.values().flat_map(|run| figures.iter().filter_map(|figure| run.get(figure)));
    let top = values.copied().fold(1.0_f64, f64::max) * 1.15;
    let (first, last) = (
        runs.keys().next().map_or(1.0, |objects| count(*objects)),
        runs.keys().next_back().map_or(1.0, |objects| count(*objects)),
    );
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(36)
        .y_label_area_size(54)
        .build_cartesian_2d((first..last).log_scale(), 0.0..top)
        .map_err(drawing)?;
    chart
        .configure_mesh()
        .x_desc("AwsConfigs")
        .x_label_formatter(&|objects| format!("{objects:.0}"))
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(drawing)?;
    for (number, figure) in figures.iter().enumerate() {
        let points: Vec<_> =
            runs.iter().filter_map(|(objects, run)| Some((count(*objects), *run.get(figure)?))).collect();
        let color = Palette99::pick(number).to_rgba();
        let line = LineSeries::new(points, color.stroke_width(2)).point_size(3);
        chart
            .draw_series(line)
            .map_err(drawing)?
            .label(figure.label())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()
        .map_err(drawing)?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "for a picture")]
fn count(objects: usize) -> f64 {
    objects as f64
}

fn drawing(error: impl std::fmt::Display) -> String {
    format!("the picture of the growth: {error}")
}
