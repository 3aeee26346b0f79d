//! Joins the windows that agree on a face: OpenCV's `groupRectangles`.

use super::scan::Window;

/// Windows are alike when their edges differ by less than this share of their mean side (`GROUP_EPS`).
const TOLERANCE: f64 = 0.2;

/// Replaces `faces` with the mean of each group of more than `min_neighbors` windows and how many there were, without
/// those that lie in a stronger one. With 0 every window is an answer of its own.
pub fn group(windows: &[Window], min_neighbors: u32, faces: &mut Vec<(Window, u32)>) {
    faces.clear();
    if min_neighbors == 0 {
        faces.extend(windows.iter().map(|&window| (window, 1)));
        return;
    }
    let mut groups: Vec<(i64, i64, i64, i64, u32)> = Vec::new();
    let roots = partition(windows);
    let mut number = vec![usize::MAX; windows.len()];
    for (window, &root) in windows.iter().zip(&roots) {
        if number[root] == usize::MAX {
            number[root] = groups.len();
            groups.push((0, 0, 0, 0, 0));
        }
        let group = &mut groups[number[root]];
        group.0 += i64::from(window.x);
        group.1 += i64::from(window.y);
        group.2 += i64::from(window.width);
        group.3 += i64::from(window.height);
        group.4 += 1;
    }
    let means: Vec<(Window, u32)> = groups
        .into_iter()
        .map(|(x, y, width, height, count)| {
            let share = 1.0 / count as f32;
            let mean = |sum: i64| (sum as f32 * share).round_ties_even() as i32;
            (Window { x: mean(x), y: mean(y), width: mean(width), height: mean(height) }, count)
        })
        .filter(|&(_, count)| count > min_neighbors)
        .collect();
    let strongest = means.iter().enumerate().filter(|(index, (window, count))| {
        !means.iter().enumerate().any(|(other, (around, stronger))| {
            other != *index && (*stronger > (*count).max(3) || *count < 3) && lies_in(window, around)
        })
    });
    faces.extend(strongest.map(|(_, &face)| face));
}

fn lies_in(inner: &Window, outer: &Window) -> bool {
    let margin = |side: i32| (f64::from(side) * TOLERANCE).round_ties_even() as i32;
    let (dx, dy) = (margin(outer.width), margin(outer.height));
    inner.x >= outer.x - dx
        && inner.y >= outer.y - dy
        && inner.x + inner.width <= outer.x + outer.width + dx
        && inner.y + inner.height <= outer.y + outer.height + dy
}

fn alike(a: &Window, b: &Window) -> bool {
    let sides = a.width.min(b.width) + a.height.min(b.height);
    let most = TOLERANCE * f64::from(sides) * 0.5;
    let near = |a: i32, b: i32| f64::from((a - b).abs()) <= most;
    near(a.x, b.x)
        && near(a.y, b.y)
        && near(a.x + a.width, b.x + b.width)
        && near(a.y + a.height, b.y + b.height)
}

/// For each window the index that stands for its group: alike windows, and those alike to these.
fn partition(windows: &[Window]) -> Vec<usize> {
    let mut parents: Vec<usize> = (0..windows.len()).collect();
    for (index, window) in windows.iter().enumerate() {
        for (other, earlier) in windows.iter().enumerate().take(index) {
            if alike(window, earlier) {
                let (a, b) = (root(&mut parents, index), root(&mut parents, other));
                parents[a.max(b)] = a.min(b);
            }
        }
    }
    (0..windows.len()).map(|index| root(&mut parents, index)).collect()
}

fn root(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}
