package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// table is what is printed: Markdown, one row for each contender.
type table struct{ rows []row }

// row is one contender. Ratio and limit are zero where there are none.
type row struct {
	what   string  // what was measured: the same for all contenders of a group
	who    string  // the contender
	figure string  // medians with their units
	ratio  float64 // to the base of the group
	limit  float64 // what ratio may be at most
	fault  string  // what another limit says, if it is broken
	goal   string  // in words; empty for rivals and floors
}

func (t *table) add(r row) { t.rows = append(t.rows, r) }

// met says whether the row is within its limits.
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
		cells = append(cells, []string{what, r.who, r.figure, ratio, r.goal, r.met()})
	}
	return writeMarkdown(w, cells)
}

// writeMarkdown pads the columns, so that the table reads well as plain text too.
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

// median returns the middle one of values, which must not be empty and get sorted.
func median(values []float64) float64 {
	slices.Sort(values)
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}

// micros writes nanoseconds with three digits that count.
func micros(ns float64) string {
	if ns >= float64(10*time.Millisecond) {
		return fmt.Sprintf("%.3g ms", ns/1e6)
	}
	return fmt.Sprintf("%.3g us", ns/1e3)
}

func megabytes(bytes float64) string { return fmt.Sprintf("%.1f MB", bytes/1e6) }
