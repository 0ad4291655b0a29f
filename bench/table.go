package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// table is printed as Markdown, with one row for each contender.
type table struct{ rows []row }

// row is one contender. A ratio or limit of zero means that there is none.
type row struct {
	what   string  // what was measured: the same for all contenders of a group
	who    string  // the contender
	figure string  // medians with their units
	ratio  float64 // to base
	base   string  // name of the contender that ratio refers to; empty means the first of the group
	limit  float64 // the largest allowed ratio
	fault  string  // which other limit is exceeded, if any
	goal   string  // the limits in words; empty for contenders without any
}

func (t *table) add(r row) { t.rows = append(t.rows, r) }

// met returns whether the row is within its limits, in words.
func (r row) met() string {
	switch {
	case r.goal == "":
		return ""
	case r.fault != "":
		return "no: " + r.fault
	case r.limit != 0 && r.ratio > r.limit:
		return "no"
	}
	return "yes"
}

func (t *table) write(w io.Writer) error {
	cells := [][]string{{"what", "who", "median", "ratio", "must reach", "met"}}
	last := ""
	for _, r := range t.rows {
		what := r.what
		if what == last {
			what = ""
		}
		last = r.what
		ratio := ""
		if r.ratio != 0 {
			ratio = strconv.FormatFloat(r.ratio, 'f', 2, 64)
			if r.ratio < 0.1 {
				ratio = strconv.FormatFloat(r.ratio, 'f', 3, 64)
			}
		}
		if r.base != "" {
			ratio += " of " + r.base
		}
		cells = append(cells, []string{what, r.who, r.figure, ratio, r.goal, r.met()})
	}
	return writeMarkdown(w, cells)
}

// writeMarkdown pads the columns, so that the table is readable as plain text as well.
func writeMarkdown(w io.Writer, cells [][]string) error {
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	rule := make([]string, len(widths))
	for i, n := range widths {
		rule[i] = fmt.Sprintf("%.*s", n, "----------------------------------------------------------------------------------------------------")
	}
	for _, line := range slices.Insert(cells, 1, rule) {
		for i, cell := range line {
			if _, err := fmt.Fprintf(w, "| %-*s ", widths[i], cell); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(w, "|"); err != nil {
			return err
		}
	}
	return nil
}

// median returns the median of values, which must not be empty. It sorts them.
func median(values []float64) float64 {
	slices.Sort(values)
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}

// micros formats nanoseconds with three significant digits.
func micros(ns float64) string {
	if ns >= float64(10*time.Millisecond) {
		return fmt.Sprintf("%.3g ms", ns/1e6)
	}
	return fmt.Sprintf("%.3g us", ns/1e3)
}

func megabytes(bytes float64) string { return fmt.Sprintf("%.1f MB", bytes/1e6) }
