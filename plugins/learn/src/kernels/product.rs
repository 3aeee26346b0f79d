//! Matrix products of f32 on one thread, in a fixed order of sums.

use gemm::{Parallelism, gemm};

/// A matrix in a slice: element (row, column) lies at `start + row * row_stride + column * column_stride`.
/// Rows may overlap.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// What holds the numbers.
    pub data: &'a [f32],
    /// Where the first lies.
    pub start: usize,
    /// From one row to the next.
    pub row_stride: usize,
    /// From one column to the next.
    pub column_stride: usize,
}

impl View<'_> {
    /// One past the last element that `rows` x `columns` reach.
    const fn end(&self, rows: usize, columns: usize) -> usize {
        self.start + (rows - 1) * self.row_stride + (columns - 1) * self.column_stride + 1
    }
}

/// `out = a * b`, or `out += a * b` with `add`; `out` has `rows` x `columns`, tight, row by row, and `a` has
/// `depth` columns.
///
/// # Panics
/// If a view reaches beyond its slice, or `out` has another size: a mistake of the caller.
pub fn multiply(
    out: &mut [f32],
    (rows, columns, depth): (usize, usize, usize),
    a: View<'_>,
    b: View<'_>,
    add: bool,
) {
    assert_eq!(out.len(), rows * columns, "size of the product");
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(depth > 0, "a product over nothing");
    assert!(a.end(rows, depth) <= a.data.len(), "left factor reaches beyond its slice");
    assert!(b.end(depth, columns) <= b.data.len(), "right factor reaches beyond its slice");
    // Rust's allocations hold at most isize::MAX bytes, and every stride is less than a slice that was just checked.
    #[allow(
        unsafe_code,
        clippy::cast_possible_wrap,
        reason = "every element was checked to lie in its slice"
    )]
    unsafe {
        gemm(
            rows,
            columns,
            depth,
            out.as_mut_ptr(),
            1,
            columns as isize,
            add,
            a.data.as_ptr().add(a.start),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr().add(b.start),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
